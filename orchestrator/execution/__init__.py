"""One claimed task, from where it is stored to its end."""
