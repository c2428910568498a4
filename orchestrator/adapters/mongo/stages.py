"""Parts of filters and updates of task documents. Leases run on the database's clock, ``$$NOW``."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from orchestrator.ports import Free, Search
from orchestrator.task.values import LONGEST_LEASE, Document

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


def wanted(search: Search, last: Document | None) -> Stage:
    """The tasks that match the search; with ``last``, the tasks that follow it. Tasks without a date come after all others.

    There is an operator at the top level only if the search has labels or a place in the list.
    """
    asked = {"status": search.status, "cause": search.cause, "image": search.image}
    query: Stage = {name: value for name, value in asked.items() if value is not None}
    if search.labels:
        query["$expr"] = {"$and": [_labelled(name, value) for name, value in search.labels.items()]}
    bounds = {"$gte": search.since, "$lt": search.until}
    if given := {bound: at for bound, at in bounds.items() if at is not None}:
        query["created_at"] = given
    return query if last is None else {"$and": [query, _behind(last)]}


def _labelled(name: str, value: str) -> Stage:
    """The name may have dots and dollars, which are not a path here."""
    return {"$eq": [{"$getField": {"field": {"$literal": name}, "input": "$labels"}}, {"$literal": value}]}


def _behind(last: Document) -> Stage:
    at, undated = last.get("created_at"), {"created_at": {"$not": {"$type": "date"}}}
    if not isinstance(at, datetime):
        return {**undated, "_id": {"$lt": last["_id"]}}
    return {"$or": [{"created_at": {"$lt": at}}, {"created_at": at, "_id": {"$lt": last["_id"]}}, undated]}


def expiry(field: str, ttl: float) -> Stage:
    """The field, so many seconds from now by the database's clock."""
    return {field: {"$add": ["$$NOW", round(ttl * 1000)]}}


def setting(values: Stage) -> Sequence[Stage]:
    """A pipeline that sets these fields. Each value may be an expression."""
    return [{"$set": values}]
