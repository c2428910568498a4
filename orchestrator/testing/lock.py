"""A lock within one process."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class MemoryLock:
    """The SharedLock of one process; what is held does not run out."""

    def __init__(self) -> None:
        self._held: set[str] = set()
        self._lock = threading.Lock()

    @contextmanager
    def hold(self, name: str, ttl: float) -> Iterator[bool]:  # noqa: ARG002
        """Try once."""
        with self._lock:
            held = name not in self._held
            self._held.add(name)
        try:
            yield held
        finally:
            if held:
                self._held.discard(name)
