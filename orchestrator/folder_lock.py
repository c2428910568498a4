"""The lock of a folder with embedded servers. Cheap to import: each client looks whether it is held."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from orchestrator.errors import InfrastructureError

_LOCK = "lock"
_PATIENCE = 5.0


@contextmanager
def hold(folder: Path) -> Iterator[int]:
    """Make the folder and hold its lock; yields the lock's descriptor.

    Servers inherit it, so the folder is free only when none of them is left. Raises InfrastructureError when it is in use.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(folder / _LOCK, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        deadline = time.monotonic() + _PATIENCE
        while not _acquire(lock, fcntl.LOCK_EX):
            if time.monotonic() > deadline:
                raise InfrastructureError("embedded servers", f"{folder} is in use by another process")
            time.sleep(0.05)
        yield lock
    finally:
        os.close(lock)


def is_held(folder: Path) -> bool:
    """Whether servers run on the folder."""
    try:
        lock = os.open(folder / _LOCK, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        return not _acquire(lock, fcntl.LOCK_SH)
    finally:
        os.close(lock)


def _acquire(lock: int, kind: int) -> bool:
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
