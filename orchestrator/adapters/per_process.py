"""A client whose library does not survive a fork."""

import os
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class PerProcess(Generic[T]):
    """A client that each process makes at its first use: pymongo and urllib3 do not survive the fork of RQ's own worker."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._made: dict[int, T] = {}

    def __call__(self) -> T:
        """The client of this process. If two threads make one, the first is kept; the other was never connected."""
        pid = os.getpid()
        made = self._made.get(pid)
        return self._made.setdefault(pid, self._make()) if made is None else made

    def dropped(self) -> T | None:
        """The client of this process for its last use, or None if there is none. The next call makes a new client."""
        return self._made.pop(os.getpid(), None)
