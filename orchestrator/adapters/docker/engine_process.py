"""The start times of a local engine's process and of the machine, by the machine's present clock."""

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

_NAME = "dockerd"
_INIT = 1
_PROC = Path("/proc")
_STARTED = 19
"""The position of the start time in /proc/<pid>/stat, counted after the name."""


def engine_started(peer: int, proc: Path = _PROC) -> datetime | None:
    """The start time of the engine at whose socket process ``peer`` listens; None if it is unknown.

    Under socket activation ``peer`` is process 1, which has passed the socket on. Then it is the engine's process, if there is
    exactly one.
    """
    pids = [pid for pid in _processes(proc) if _name(proc, pid) == _NAME]
    if peer in pids:
        return _started(proc, peer)
    return _started(proc, pids[0]) if peer == _INIT and len(pids) == 1 else None


def machine_started() -> datetime:
    """The time when the kernel started."""
    return datetime.now(UTC) - timedelta(seconds=time.clock_gettime(time.CLOCK_BOOTTIME))


def _processes(proc: Path) -> list[int]:
    return [int(entry.name) for entry in proc.iterdir() if entry.name.isdecimal()]


def _name(proc: Path, pid: int) -> str:
    try:
        return (proc / str(pid) / "comm").read_text().rstrip("\n")
    except OSError:  # it has ended in the meantime
        return ""


def _started(proc: Path, pid: int) -> datetime | None:
    """The kernel counts in ticks and rounds down; this takes the end of the tick."""
    try:
        ticks = int((proc / str(pid) / "stat").read_text().rpartition(")")[2].split()[_STARTED]) + 1
    except (OSError, ValueError, IndexError):
        return None
    return machine_started() + timedelta(seconds=ticks / os.sysconf("SC_CLK_TCK"))
