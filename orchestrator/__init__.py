"""Worker service: takes tasks from a queue and runs each in an isolated container."""
