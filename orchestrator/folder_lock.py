"""The lock on a folder with embedded servers. The process that starts them holds it; clients check whether it is held."""

import fcntl
import os
from pathlib import Path

FILE = "lock"


def opened(folder: Path) -> int:
    """The descriptor of the folder's lock, which is made if it is missing."""
    return os.open(folder / FILE, os.O_CREAT | os.O_RDWR, 0o600)


def acquire(lock: int, kind: int = fcntl.LOCK_EX) -> bool:
    """Take the lock if nobody has it; whether it was taken."""
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_held(folder: Path) -> bool:
    """Whether servers run on the folder."""
    try:
        lock = os.open(folder / FILE, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        return not acquire(lock, fcntl.LOCK_SH)
    finally:
        os.close(lock)
