"""The task documents in MongoDB."""
