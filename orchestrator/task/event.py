"""The message published for every transition; a mirror of what is stored, made from nothing else."""

import json
from datetime import datetime
from operator import index
from typing import Self

from attrs import asdict, field, frozen

from orchestrator.cause import Cause
from orchestrator.task.document import Task
from orchestrator.task.validation import shown
from orchestrator.task.values import Entry
from statemachine import TERMINAL, State, Trigger


@frozen
class Event:
    """One change of one task. ``seq`` 0 is the enqueueing, which has no trigger and no source.

    ``exit_code``, ``cause`` and ``message`` are set on the last event of a task only.

    ``deployment`` is the one whose task it is; it is empty when the publisher did not say.

    ``nonce`` is the task's, for the bus, and no part of the message.
    """

    task_id: str
    seq: int
    trigger: Trigger | None
    source: State | None
    status: State
    at: datetime
    exit_code: int | None = None
    cause: Cause | None = None
    message: str | None = None
    deployment: str = ""
    nonce: str = field(default="", eq=False)

    @classmethod
    def queued(cls, task_id: str, at: datetime, deployment: str = "", nonce: str = "") -> Self:
        """The event published by the one who enqueues."""
        return cls(task_id, 0, None, None, State.QUEUED, at, deployment=deployment, nonce=nonce)

    @classmethod
    def of(cls, task: Task, entry: Entry, deployment: str = "") -> Self:
        """The event for one row of the task's history."""
        exit_code, cause, message = (
            (task.exit_code, task.cause, task.message) if entry.status in TERMINAL else (None, None, None)
        )
        moved = _told(task.id), entry.seq, entry.trigger, entry.source, entry.status, entry.at
        return cls(*moved, exit_code, cause, message, deployment, task.nonce or "")

    @classmethod
    def all_of(cls, task: Task, after: int = -1, deployment: str = "") -> list[Self]:
        """Every event of the task so far whose seq is above ``after``, made from what is stored; seq 0 is the enqueueing."""
        first = []
        if task.created_at and after < 0:
            first = [cls.queued(_told(task.id), task.created_at, deployment, task.nonce or "")]
        return first + [cls.of(task, entry, deployment) for entry in task.history if entry.seq > after]

    @property
    def is_last(self) -> bool:
        """Whether no event follows this one."""
        return self.status in TERMINAL

    def to_json(self) -> str:
        """One line of JSON; exit_code, cause and message only on the last event; ``at`` as ISO 8601."""
        left_out = {"nonce", *(() if self.is_last else _LAST_ONLY)}
        fields = asdict(self, filter=lambda attribute, _: attribute.name not in left_out)
        return json.dumps(fields | {"at": self.at.isoformat(timespec="milliseconds")})

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """The inverse of ``to_json``. Raises ValueError, KeyError or TypeError on anything else."""
        try:
            fields = json.loads(text)
        except RecursionError:
            raise ValueError("nested too deeply to be an event") from None
        return cls(
            task_id=str(fields["task_id"]),
            seq=index(fields["seq"]),
            trigger=None if fields["trigger"] is None else Trigger(fields["trigger"]),
            source=None if fields["source"] is None else State(fields["source"]),
            status=State(fields["status"]),
            at=datetime.fromisoformat(fields["at"]),
            exit_code=fields.get("exit_code"),
            cause=None if fields.get("cause") is None else Cause(fields["cause"]),
            message=fields.get("message"),
            deployment=str(fields.get("deployment") or ""),
        )


def _told(task_id: object) -> str:
    """An id that is no string becomes one that no task can have."""
    return task_id if isinstance(task_id, str) else f"{type(task_id).__name__}:{shown(task_id)}"


_LAST_ONLY = frozenset({"exit_code", "cause", "message"})
