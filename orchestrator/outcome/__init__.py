"""What became of a program, and what it used."""
