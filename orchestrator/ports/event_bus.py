"""How a change of a task is told to all that listen."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Protocol

from orchestrator.task.event import Event


class EventBus(Protocol):
    """Pub/Sub: channels ``tasks`` and ``tasks:<id>``. Lossy for subscribers that are away."""

    def publish(self, event: Event) -> None:
        """Send to both channels, unless a later event of the task was sent within the last hour: then nothing is sent.

        So who takes the last message for the task's status is right, also when a worker was frozen just before it published.
        May deliver twice after a lost reply; ``seq`` tells.
        """

    def subscribe(self, task_id: str | None) -> AbstractContextManager[Iterator[Event | None]]:
        """Events of one task, or of all, from the moment the context is entered; yields None about once a second when idle."""
