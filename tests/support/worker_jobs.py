"""Job functions for tests of the worker. Each notes what happens to it as a line in the file named by NOTES."""

import os
import threading
import time
from pathlib import Path

PAUSE = 0.03


def note(word: str, task_id: str) -> None:
    """Append one line in a single write, so that lines of many threads and processes do not mix."""
    handle = os.open(os.environ["NOTES"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(handle, f"{word} {task_id} {time.time()}\n".encode())
    os.close(handle)


def work(task_id: str) -> None:
    """Begin, take a moment, end."""
    note("begin", task_id)
    threading.Event().wait(PAUSE)
    note("end", task_id)


def hold(task_id: str, gate: str) -> None:
    """Begin, and end when the file ``gate`` is there."""
    note("begin", task_id)
    while not Path(gate).exists():
        threading.Event().wait(PAUSE)
    note("end", task_id)


def fail(task_id: str, secret: str = "") -> None:
    """Raise what no worker expects."""
    note("begin", task_id)
    raise ValueError(f"no luck with {secret}")


def leave(task_id: str) -> None:
    """Raise what would end a process."""
    note("begin", task_id)
    raise SystemExit(3)


def tell(task_id: str) -> None:
    """Write a log line from the job's thread."""
    from loguru import logger  # noqa: PLC0415

    logger.info("told")
    note("end", task_id)


def nothing(_: str) -> None:
    """Do nothing."""
