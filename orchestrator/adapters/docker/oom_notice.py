"""For version 1 of control groups: how often memory ran out in a group, also after the group is gone.

This version counts kills in the group that has the limit, and the group is removed with its program. A busy engine loses the
kernel's notice of one program in six. The kernel signals an eventfd each time memory runs out in a group, and once more when
the group is removed.

https://docs.kernel.org/admin-guide/cgroup-v1/memory.html#oom-control
"""

import os
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Self

_SETTLE, _PAUSE = 0.5, 0.002
"""Seconds that the kernel may take to signal the removal of a group, which it does in the background."""
_NEVER = 1 << 62
"""A number of bytes that is never reached, so only the removal is signalled."""


class OomNotice:
    """Watches one group; ``folder`` is its folder of the controller ``memory``. Threads may share it."""

    def __init__(self, folder: Path) -> None:
        """Raises OSError if the kernel refuses it, as with version 2 or without the right to write."""
        self._folder = folder
        self._told = 0
        self._over = False
        self._lock = threading.Lock()
        self._ran_out = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._removed = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._events: tuple[int, ...] = (self._ran_out, self._removed)
        try:
            self._register(self._ran_out, "memory.oom_control")
            self._register(self._removed, "memory.usage_in_bytes", str(_NEVER))
        except OSError:
            self.close()
            raise

    @classmethod
    def of(cls, folder: Path) -> Self | None:
        """A notice for the group; None if the kernel refuses it."""
        with suppress(OSError):
            return cls(folder)
        return None

    def times(self) -> int:
        """How often memory has run out since the notice was made."""
        with self._lock:
            if not self._over:
                self._over = not self._folder.exists()
                if self._over:
                    self._await_removal()
                    self._told -= 1
                self._told += _signals(self._ran_out)
            return self._told

    def close(self) -> None:
        """Stop watching; the count stays."""
        with self._lock:
            self._over = True
            for event in self._events:
                os.close(event)
            self._events = ()

    def _await_removal(self) -> None:
        """Wait for the notice of the removal. It is the last one: the kernel first waits for all readers of a threshold."""
        deadline = time.monotonic() + _SETTLE
        while not _signals(self._removed) and time.monotonic() < deadline:
            time.sleep(_PAUSE)

    def _register(self, event: int, file: str, *arguments: str) -> None:
        with (self._folder / file).open() as watched:
            (self._folder / "cgroup.event_control").write_text(" ".join([str(event), str(watched.fileno()), *arguments]))


def _signals(event: int) -> int:
    """The number of signals since the last call."""
    try:
        return os.eventfd_read(event)
    except BlockingIOError:
        return 0
