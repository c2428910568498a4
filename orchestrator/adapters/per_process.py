"""A client of a library that does not survive a fork."""

import os
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class PerProcess(Generic[T]):
    """A client made on first use in each process: neither pymongo nor urllib3 survives the fork of RQ's stock worker."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._made: dict[int, T] = {}

    def __call__(self) -> T:
        """The client of this process. Of two threads that race here one is kept; the other was never connected."""
        pid = os.getpid()
        made = self._made.get(pid)
        return self._made.setdefault(pid, self._make()) if made is None else made

    def dropped(self) -> T | None:
        """The client of this process, for its last use, or None when there is none; the next call makes a new one."""
        return self._made.pop(os.getpid(), None)
