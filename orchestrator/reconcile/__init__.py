"""Finds and mends lost tasks and leftover resources."""
