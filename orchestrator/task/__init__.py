"""The task: values without I/O."""
