"""The outside world, a package for each library. They know the ports, and no task."""
