"""A lock that all workers share."""

from contextlib import AbstractContextManager
from typing import Protocol


class SharedLock(Protocol):
    """A lock that all workers share."""

    def hold(self, name: str, ttl: float) -> AbstractContextManager[bool]:
        """True for the one who has the lock, for at most ``ttl`` seconds; False at once for the others."""
