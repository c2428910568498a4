"""RECORD: store the move by compare-and-set, so that the stored status is an exact mirror of the state."""

from collections.abc import Callable
from datetime import datetime

from attrs import evolve, frozen

from orchestrator.cause import Cause
from orchestrator.execution.claim import Claim
from orchestrator.ports import Move, TaskStore
from orchestrator.retrying import Retrier
from orchestrator.task.codec import to_document
from orchestrator.task.document import Task
from orchestrator.task.request import kept_until
from orchestrator.task.stored_keys import keys_of
from orchestrator.task.values import Document, Entry, Fields
from statemachine import INITIAL, TERMINAL, UNDECIDED, Step, Trigger


@frozen
class Record:
    """``worker`` is the name of this one, ``keep_max`` the seconds that a task may be kept by its own wish; 0: any."""

    store: TaskStore
    now: Callable[[], datetime]
    retrier: Retrier
    worker: str
    keep_max: float = 0.0

    def __call__(self, claim: Claim, step: Step, fields: Fields) -> None:
        """Store the step, however long the store is away: nothing can be decided about the task without it.

        Raises Superseded when the task is not as this claim last saw it, and CancelRequested when it is to be cancelled and has
        no outcome yet.
        """
        entry = self.entry(claim, step)
        decides = step.source in UNDECIDED and step.trigger is not Trigger.RETRY
        undisputed = decides and fields.get("cause") is not Cause.CANCELLED
        stored = self._fields(claim, step, entry, fields)
        move = Move(claim.task.id, claim.token, entry, stored, unless_cancelled=undisputed, before=claim.lease.document)
        claim.lease.document = evolve(self.retrier, over=claim.lost).forever(self._advance, claim, move)
        claim.task = Task.from_document(claim.lease.document)

    def entry(self, claim: Claim, step: Step) -> Entry:
        """The history row; a repeat after a lost reply has the same one, so that the store knows it again.

        Where the clock of this host is wrong, the time is the database's, for tasks are kept by that.
        """
        at = self.now() + claim.lease.ahead
        entry = Entry(claim.task.seq + 1, step.trigger, step.source, step.dest, at, claim.number)
        if claim.pending is None or evolve(claim.pending, at=entry.at) != entry:
            claim.pending = entry
        return claim.pending

    def _advance(self, claim: Claim, move: Move) -> Document:
        claim.check_lost()
        return self.store.advance(move)

    def _fields(self, claim: Claim, step: Step, entry: Entry, fields: Fields) -> Fields:
        """What the step's work found, what follows from the step itself, and how much is known to be published."""
        first = Task.blank() if entry.seq == 1 else {}
        if claim.task.created_at is None:
            first = {**first, "created_at": entry.at}
        fields = {**first, **fields, "published": claim.published}
        if step.trigger is Trigger.START:
            fields["started_at"] = entry.at
        if step.dest in {*TERMINAL, INITIAL}:
            fields["objects_named"] = claim.number if _names_all(claim, fields) else 0
        if step.dest in TERMINAL:
            fields["finished_at"] = entry.at
            fields["finished_by"] = self.worker
            fields["keep_until"] = kept_until(claim.task.request, entry.at, self.keep_max)
        if step.dest is not INITIAL:
            return fields
        kept = {name: fields[name] for name in ("published", "objects_named")}
        return {**claim.task.again(entry.at, fields), **kept}


def _names_all(claim: Claim, fields: Fields) -> bool:
    """Whether the document names every object of the task, now that the attempt ends with these fields.

    A worker that did not start the program cannot know: the worker before it may have put objects that nobody names.
    """
    attempt = claim.attempt
    before = claim.task.objects_named == claim.number - 1
    alone = claim.state is INITIAL or attempt.deadline is not None
    return before and alone and attempt.put <= {*keys_of(to_document(fields))}
