"""How tasks that were just stored come to the workers."""

from collections.abc import Sequence
from typing import Protocol

from attrs import frozen

from orchestrator.ports.event_bus import EventBus
from orchestrator.ports.queue import JobInfo, Queue
from orchestrator.task.event import Event


@frozen
class NewTask:
    """A task that was just stored: its first event, and what its job says of it."""

    event: Event
    info: JobInfo


class Intake(Protocol):
    """Tells of new tasks and puts them in line."""

    def take_in(self, tasks: Sequence[NewTask]) -> None:
        """Publish the event of each task and enqueue its id, as EventBus and Queue do, in the order that is given.

        After an error some of them may be in line. A task that is not is found by the sweep.
        """


@frozen
class TwoStepIntake:
    """The Intake on any bus and any queue."""

    events: EventBus
    queue: Queue

    def take_in(self, tasks: Sequence[NewTask]) -> None:
        """One after the other."""
        for task in tasks:
            self.events.publish(task.event)
            self.queue.enqueue(task.event.task_id, task.info)
