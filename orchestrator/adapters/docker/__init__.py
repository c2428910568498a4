"""The container engine, by Docker, on a host of its own or on this one."""
