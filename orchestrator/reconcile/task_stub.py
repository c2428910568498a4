"""The part of a stored task that a sweep reads. It is read leniently, because a sweep does not validate documents."""

from collections.abc import Mapping
from datetime import datetime
from math import inf
from typing import Self, cast

from attrs import frozen

from orchestrator.task.values import LONGEST_LEASE, Document

_INSERTED = 3.0
"""Seconds that a client may take between inserting a task and enqueueing it."""


@frozen
class Glimpse:
    """``engine`` is the engine to which the task is bound, ``home`` the engine that has its container.

    Values that no worker could have written count as missing.
    """

    id: str
    status: object
    engine: str | None
    home: str | None
    created_at: datetime | None
    held_until: datetime | None

    @classmethod
    def of(cls, document: Document) -> Self:
        """From a document, or from the part of it with these fields."""
        lease, container = _map(document.get("lease")), _map(document.get("container"))
        return cls(
            id=cast("str", document["_id"]),
            status=document.get("status"),
            engine=_text(document.get("engine")),
            home=_text(container.get("engine")),
            created_at=_date(document.get("created_at")),
            held_until=_date(lease.get("expires_at")),
        )

    def late(self, now: datetime) -> float:
        """Seconds since the lease expired. For a task without a lease, seconds since it should have been in the queue.

        An impossible time, written by another program or a wrong clock, delays nothing.
        """
        if self.held_until is not None:
            late = (now - self.held_until).total_seconds()
            return late if late > -LONGEST_LEASE else inf
        age = inf if self.created_at is None else (now - self.created_at).total_seconds()
        return age - _INSERTED if age >= 0 else inf


def _map(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _date(value: object) -> datetime | None:
    return value if isinstance(value, datetime) and value.tzinfo else None
