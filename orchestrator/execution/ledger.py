"""The record and announce slots: the stored status and the published events as exact mirrors of the state."""

from collections.abc import Callable
from datetime import datetime

from attrs import evolve, frozen

from orchestrator.cause import Cause
from orchestrator.errors import InfrastructureError, Superseded
from orchestrator.execution.retrying import Patience
from orchestrator.execution.run import Run
from orchestrator.log import logger
from orchestrator.ports import EventBus, Move, TaskStore
from orchestrator.task.document import Task
from orchestrator.task.event import Event
from orchestrator.task.values import Document, Entry, Fields
from statemachine import INITIAL, TERMINAL, State, Step, Trigger


@frozen
class Ledger:
    """Stores each step by compare-and-set, then publishes what was stored. ``worker`` is the name of this one."""

    store: TaskStore
    events: EventBus
    now: Callable[[], datetime]
    patience: Patience
    deployment: Callable[[], str]
    worker: str

    def record(self, run: Run, step: Step, fields: Fields) -> None:
        """Store the step, however long the store is away: nothing can be decided about the task without it.

        Raises Superseded when the task is not as this run last saw it, and CancelRequested when it is to be cancelled and has
        no outcome yet.
        """
        entry = self._entry(run, step)
        decides = step.source in {INITIAL, State.RUNNING} and step.trigger is not Trigger.RETRY
        undisputed = decides and fields.get("cause") is not Cause.CANCELLED
        move = Move(run.task.id, run.token, entry, self._fields(run, step, entry, fields), unless_cancelled=undisputed)
        run.task = Task.from_document(evolve(self.patience, over=run.lost).forever(self._advance, run, move))

    def _advance(self, run: Run, move: Move) -> Document:
        run.check_lost()
        return self.store.advance(move)

    def _entry(self, run: Run, step: Step) -> Entry:
        """The history row; a repeat after a lost reply has the same one, so that the store knows it again."""
        entry = Entry(run.task.seq + 1, step.trigger, step.source, step.dest, self.now(), run.attempt)
        if run.pending is None or evolve(run.pending, at=entry.at) != entry:
            run.pending = entry
        return run.pending

    def _fields(self, run: Run, step: Step, entry: Entry, fields: Fields) -> Fields:
        """What the step's work found, what follows from the step itself, and how much is known to be published."""
        first = Task.blank() if entry.seq == 1 else {}
        if run.task.created_at is None:
            first = {**first, "created_at": entry.at}
        fields = {**first, **fields, "published": run.published}
        if step.trigger is Trigger.START:
            fields["started_at"] = entry.at
        if step.dest in TERMINAL:
            fields["finished_at"] = entry.at
            fields["finished_by"] = self.worker
        return {**run.task.again(entry.at, fields), "published": run.published} if step.dest is INITIAL else fields

    def announce(self, run: Run, step: Step) -> None:
        """Publish all that is stored and not yet published, in order. Never raises: what stays behind goes out with the next.

        That it went out is noted in the next record, so it costs a write of its own only after the last one.
        """
        self.publish(run)
        logger.info("{} -> {}", step.source, step.dest)

    def publish(self, run: Run) -> bool:
        """Publish what is not known to be, perhaps once more, in order whoever else does so; whether all is. Never raises.

        Nothing is published of a task that somebody else has by now.
        """
        with run.publishing:
            try:
                for event in Event.all_of(run.task, run.published, self.deployment()):
                    run.check_held()
                    self.events.publish(event)
                    run.published = event.seq
            except (InfrastructureError, Superseded) as error:
                logger.warning("stored, but not published beyond {}: {}", run.published, error)
                return False
        return True

    def settle(self, run: Run) -> None:
        """Note that nothing is left to do for a task that has ended; when something is, the sweep finds it without the note."""
        try:
            if run.published == run.task.seq:
                self.store.settle(run.task.id, run.published)
        except InfrastructureError as error:
            logger.warning("the end is not noted as settled: {}", error)
