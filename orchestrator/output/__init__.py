"""A program's output and artifacts, on their way from the engine to object storage."""
