"""What this process knows of the containers and images that it deals with, so that it need not ask the engine again."""

import threading
from collections.abc import Sequence
from typing import Generic, TypeVar

T = TypeVar("T")
MOST = 4096
"""More than the containers that one worker deals with at a time."""


class Recent(Generic[T]):
    """The last facts, by container or image. Threads may share it. A fact that was dropped costs a question to the engine."""

    def __init__(self, most: int = MOST) -> None:
        self._facts: dict[str, T] = {}
        self._most = most
        self._lock = threading.Lock()

    def put(self, key: str, fact: T) -> T:
        """Remember a fact, in place of an earlier one."""
        with self._lock:
            self._facts.pop(key, None)
            while len(self._facts) >= self._most:
                del self._facts[next(iter(self._facts))]
            self._facts[key] = fact
        return fact

    def get(self, key: str) -> T | None:
        """The fact, or None."""
        return self._facts.get(key)

    def known(self) -> Sequence[str]:
        """The keys of all facts."""
        with self._lock:
            return [*self._facts]

    def pop(self, key: str) -> T | None:
        """The fact for its last use, or None."""
        with self._lock:
            return self._facts.pop(key, None)
