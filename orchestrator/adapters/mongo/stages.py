"""Parts of filters and updates of task documents. Leases run on the database's clock, ``$$NOW``."""

from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.ports import Free
from orchestrator.task.values import LONGEST_LEASE

Stage = dict[str, Any]
# as milliseconds, because in SecantusDB 0.7 $$NOW equals every date; a value that is no date becomes null, below every number
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
    """The lease is free or expired. A value that is not a date is free."""
    after, until = free.held(elsewhere=elsewhere)
    return {"lease.expires_at": {"$not": {"$gt": after, "$lte": until}}}


def by(task_id: object) -> Stage:
    """The task with this id. ``$eq`` keeps the database from reading an id that is a document as operators."""
    return {"_id": {"$eq": task_id} if isinstance(task_id, Mapping) else task_id}


def expiry(field: str, ttl: float) -> Stage:
    """The field, so many seconds from now by the database's clock."""
    return {field: {"$add": ["$$NOW", round(ttl * 1000)]}}


def setting(values: Stage) -> Sequence[Stage]:
    """A pipeline that sets these fields. Each value may be an expression."""
    return [{"$set": values}]
