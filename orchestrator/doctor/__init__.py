"""The checks of the doctor, a module for each server. Each knows one library and says how to repair each problem."""
