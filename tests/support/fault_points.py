"""Points at which a process can be killed or frozen: every call that goes through a port, a spool or RQ's books has a name.

A point is ``role/port.method#n``: the n-th such call of this process in a thread of that role.
"""

import os
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

_ROLES = {
    "job": "job",
    "adopted": "adopted",
    "sweep": "sweep",
    "lease": "heartbeat",
    "watch": "watch",
    "upload": "upload",
    "ahead": "ahead",
    "MainThread": "main",
}


class Points:
    """Notes each point that is reached in a file, and sends this process ``signal`` at the one it is told."""

    def __init__(self, record: Path, at: str, signal: int) -> None:
        self._record = os.open(record, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
        self._at, self._signal = at, signal
        self._calls: Counter[str] = Counter()
        self._lock = threading.Lock()

    def reach(self, name: str) -> None:
        """Called just before the call ``name``."""
        call = f"{_role()}/{name}"
        with self._lock:
            self._calls[call] += 1
            point = f"{call}#{self._calls[call]}"
        os.write(self._record, f"{time.monotonic()} {point}\n".encode())
        if point == self._at:
            os.kill(os.getpid(), self._signal)
            time.sleep(0.2)  # one that only freezes stops this thread a moment later

    def guard(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """The call with its point before it."""

        def guarded(*args: Any, **kwargs: Any) -> Any:
            self.reach(name)
            return call(*args, **kwargs)

        return guarded


class Guarded:
    """A port or module whose calls are points."""

    def __init__(self, points: Points, name: str, port: object) -> None:
        self._points, self._name, self._port = points, name, port

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._port, name)
        return self._points.guard(f"{self._name}.{name}", value) if callable(value) else value


def _role() -> str:
    return _ROLES.get(threading.current_thread().name.split(" ")[0], "other")
