"""Waiting for something to come about, on a machine that may be crowded: the deadline only ends what would hang."""

import os
from collections.abc import Callable

from tests.support.worker_process import until as _until

PATIENCE = 180.0


def until(holds: Callable[[], object], within: float = PATIENCE) -> None:
    """Return when the condition holds; fail when it does not within so many seconds of a usual machine."""
    _until(holds, within)


def crowding() -> float:
    """How much longer everything takes because other programs want the machine's processors, too; from 1 to 8.

    A fork bomb in a neighbour's container counts for hundreds, but its limit keeps it from taking as much.
    """
    return min(max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1) / 2), 8.0)
