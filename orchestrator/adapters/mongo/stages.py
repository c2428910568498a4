"""Parts of filters and updates of task documents. Leases run on the database's clock, ``$$NOW``."""

from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.ports import Free
from orchestrator.task.values import LONGEST_LEASE

Stage = dict[str, Any]
# as milliseconds, for to SecantusDB 0.7 $$NOW equals every date; what is no date becomes null, which is below every number
EXPIRY_MS = {"$convert": {"input": "$lease.expires_at", "to": "long", "onError": None, "onNull": None}}
NOW_MS = {"$toLong": "$$NOW"}
IMPOSSIBLE = {"$gt": [EXPIRY_MS, {"$add": [NOW_MS, round(LONGEST_LEASE * 1000)]}]}
EXPIRED = {"$or": [{"$lte": [EXPIRY_MS, NOW_MS]}, IMPOSSIBLE]}


UNBOUND = {"$not": {"$type": "string", "$ne": ""}}
"""The engine of a task that is bound to none."""


def elsewhere(free: Free) -> Stage:
    """The engine of a task that is bound to another."""
    return {"$type": "string", "$nin": ["", free.engine]}


def elsewhere_not(free: Free) -> Stage:
    """The engine of a task that is bound to this one or to none."""
    return {"$not": elsewhere(free)}


def unheld(free: Free, *, elsewhere: bool) -> Stage:
    """That the lease holds nothing; anything but a date does not."""
    after, until = free.held(elsewhere=elsewhere)
    return {"lease.expires_at": {"$not": {"$gt": after, "$lte": until}}}


def by(task_id: object) -> Stage:
    """An id that is a document is not to be taken for operators."""
    return {"_id": {"$eq": task_id} if isinstance(task_id, Mapping) else task_id}


def expiry(field: str, ttl: float) -> Stage:
    """The field, so many seconds from now by the database's clock."""
    return {field: {"$add": ["$$NOW", round(ttl * 1000)]}}


def setting(values: Stage) -> Sequence[Stage]:
    """A pipeline that sets these fields, of which each may be an expression."""
    return [{"$set": values}]
