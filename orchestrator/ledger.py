"""The record and announce slots: the stored status and the published events as exact mirrors of the state."""

from collections.abc import Callable
from datetime import datetime

from attrs import evolve, frozen
from loguru import logger

from orchestrator.errors import InfrastructureError
from orchestrator.event import Event
from orchestrator.patience import Patience
from orchestrator.ports import EventBus, Move, TaskStore
from orchestrator.run import Run
from orchestrator.task import Entry, Fields, Task
from statemachine import TERMINAL, Step, Trigger


@frozen
class Ledger:
    """Stores each step by compare-and-set, then publishes what was stored."""

    store: TaskStore
    events: EventBus
    now: Callable[[], datetime]
    patience: Patience

    def record(self, run: Run, step: Step, fields: Fields) -> None:
        """Store the step, however long the store is away: nothing can be decided about the task without it.

        Raises Superseded when the task is not as this run last saw it.
        """
        entry = self._entry(run, step)
        times = {"started_at": entry.at} if step.trigger is Trigger.START else {}
        times |= {"finished_at": entry.at} if step.dest in TERMINAL else {}
        first = Task.blank() if entry.seq == 1 else {}
        move = Move(run.task.id, run.token, entry, {**first, **fields, **times, "published": run.published})
        run.task = Task.from_document(self.patience.forever(self.store.advance, move))

    def _entry(self, run: Run, step: Step) -> Entry:
        """The history row; a repeat after a lost reply has the same one, so that the store knows it again."""
        entry = Entry(run.task.seq + 1, step.trigger, step.source, step.dest, self.now(), run.attempt)
        if run.pending is None or evolve(run.pending, at=entry.at) != entry:
            run.pending = entry
        return run.pending

    def announce(self, run: Run, step: Step) -> None:
        """Publish what is stored and not yet published, in order. Never raises: what stays behind goes out with the next step.

        That it went out is noted in the next record, so it costs a write of its own only after the last one.
        """
        try:
            for entry in run.task.history[run.published :]:
                self.events.publish(Event.of(run.task, entry))
                run.published = entry.seq
            if step.dest in TERMINAL:
                self.store.confirm(run.task.id, run.published)
        except InfrastructureError as error:
            logger.warning("{} is stored but not published: {}", step.dest, error)
        logger.info("{} -> {}", step.source, step.dest)
