"""The ports in memory: run code that uses this package without any server, on a clock that takes no time."""
