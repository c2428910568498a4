"""What workers and clients tell each other: events, the queue of task ids, and a lock."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Protocol

from attrs import frozen

from orchestrator.event import Event


class EventBus(Protocol):
    """Pub/Sub: channels ``tasks`` and ``tasks:<id>``. Lossy for subscribers that are away."""

    def publish(self, event: Event) -> None:
        """Send to both channels. May deliver twice after a lost reply; ``seq`` tells."""

    def subscribe(self, task_id: str | None) -> AbstractContextManager[Iterator[Event | None]]:
        """Events of one task, or of all, from the moment the context is entered; yields None about once a second when idle."""


@frozen
class Head:
    """The ids of the tasks at the head of the line; ``whole`` when nobody stands behind them."""

    task_ids: frozenset[str]
    whole: bool


class Queue(Protocol):
    """The queue of task ids waiting for a worker."""

    def enqueue(self, task_id: str) -> None:
        """Put the task in line. Enqueueing an id twice is allowed: the claim sorts it out."""

    def first(self, limit: int) -> Head:
        """The first ``limit`` entries in line, and all that are on their way to a worker."""


class Mutex(Protocol):
    """A lock that all workers share."""

    def hold(self, name: str, ttl: float) -> AbstractContextManager[bool]:
        """True for the one who has the lock, for at most ``ttl`` seconds; False at once for the others."""
