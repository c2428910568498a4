"""What the doctor looks at, a module for each server. Each knows one library and says what to do about what it finds."""
