"""Finds the newest documents by a date, in windows of time that widen as long as they hold too few.

MongoDB would stop at the limit by itself. SecantusDB first reads all documents that a filter has in an index, and without a
filter the whole collection. So a filter must have few.
"""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from orchestrator.adapters.mongo.stages import Stage
from orchestrator.task.values import Document

Look = Callable[[Stage, int], Sequence[Document]]
"""The documents whose date is within bounds, newest first, at most so many."""
_FIRST = 4.0
"""Seconds of the first window."""
_WIDER, _SLOWLY = 16.0, 2.0
"""The next one is at most so many times as wide as the last one, and may be so many times however long that took."""
_LONGEST, _LEAST = 0.5, 1e-6
"""Seconds that a look may take, as far as the last one tells, and takes at least."""
_WIDEST = 1e9
"""Seconds: after a window of thirty years the next one has all the rest."""
_SURPLUS = 1.5


def newest(look: Look, most: int, *, since: datetime | None, until: datetime | None, now: datetime) -> list[Document]:
    """The newest documents from ``since`` on and before ``until``, at most ``most``; None for no bound."""
    found: list[Document] = []
    high, width = until, _FIRST
    edge: datetime | None = min(until or now, now)
    while len(found) < most and edge is not None:
        low = _before(edge, width)
        edge = None if low is None or (since is not None and low <= since) else low
        asked_at = time.monotonic()
        some = look(_bounds(edge or since, high), most - len(found))
        found += some
        high, width = edge, width * _factor(len(some), most - len(found), time.monotonic() - asked_at)
    return found


def _bounds(low: datetime | None, high: datetime | None) -> Stage:
    """A range that has the index of its field even where nothing bounds it."""
    given = {bound: at for bound, at in (("$gte", low), ("$lt", high)) if at is not None}
    return given or {"$lt": datetime.max.replace(tzinfo=UTC)}


def _before(at: datetime, width: float) -> datetime | None:
    """None for everything before."""
    if width > _WIDEST or at < _EARLIEST:
        return None
    return at - timedelta(seconds=width)


def _factor(found: int, missing: int, took: float) -> float:
    """How much wider the next window is: as the last one says that the missing ones need, and that it takes no long time.

    A filter that finds little may have to read much.
    """
    wanted = max(_SURPLUS * missing / found, 1.0) if found else _WIDER
    return min(wanted, _WIDER, max(_LONGEST / max(took, _LEAST), _SLOWLY))


_EARLIEST = datetime(1, 1, 1, tzinfo=UTC) + timedelta(seconds=_WIDEST)
