"""The task document: what is stored about a task, as one frozen value. It knows no database and no container."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Self, cast

from attrs import asdict, evolve, field, fields, frozen

from orchestrator.cause import Cause
from orchestrator.errors import InvalidTask
from orchestrator.log import logger
from orchestrator.task.artifact import Artifact, Refusal
from orchestrator.task.codec import fits, structured
from orchestrator.task.values import (
    Attempt,
    ContainerRef,
    Deletion,
    Document,
    Ending,
    Entry,
    Fields,
    Input,
    Lease,
    Logs,
    Metrics,
    Outcome,
)
from statemachine import INITIAL, State

UNKNOWN_OBJECTS = -1
"""``objects_named`` of a document that was reset: it has forgotten which objects the attempts before have put."""


@frozen
class Task:
    """A task as stored. ``request`` holds the fields its owner wrote, unchecked; all others are the worker's.

    A foreign hand may have inserted it with an ``id`` that is no string: it is refused like any bad id, once it is to start.
    """

    id: str
    status: State
    request: Document
    seq: int = 0
    attempt: int = 0
    history: tuple[Entry, ...] = ()
    published: int = 0
    created_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    worker: str | None = None
    finished_by: str | None = None
    container: ContainerRef | None = None
    exit_code: int | None = None
    cause: Cause | None = None
    message: str = ""
    evidence: Mapping[str, object] = field(factory=dict)
    logs: Logs | None = None
    metrics: Metrics | None = None
    artifacts_stored: tuple[Artifact, ...] = ()
    artifacts_refused: tuple[Refusal, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    engine: str | None = None
    cancel_requested_at: datetime | None = None
    settled: bool = True
    starting: str | None = None
    ending: Ending | None = None
    input: Input | None = None
    lease: Lease | None = None
    nonce: str | None = None
    logs_removed_at: datetime | None = None
    """When the logs of all attempts were removed from object storage; ``logs`` still tells their sizes and checksums."""
    artifacts_removed_at: datetime | None = None
    objects_named: int = 0
    """The last ended attempt, if object storage has nothing of all attempts up to it but what this document names; else 0.

    UNKNOWN_OBJECTS until the first transition of a document that was reset.
    """
    parts_begun: tuple[str, ...] = ()
    """Keys of objects that were begun while a program ran, by all holders in all attempts. What was sent of those that were
    never made is dropped at the end."""
    keep_until: datetime | None = None
    """By the ``keep`` of its request, noted at its end; None: as the settings say."""
    deleting: Deletion | None = None
    """Somebody has begun to delete the task: to clients it is not there any more."""

    @classmethod
    def from_document(cls, document: Document) -> Self:
        """Read a stored document. Raises InvalidTask when a field that the worker owns is not what the worker writes.

        Before the first transition most of them mean nothing, whatever a foreign hand wrote there.
        """
        fresh = document.get("status") == INITIAL and not document.get("history")
        owned = _BEFORE_FIRST | {"starting", "input", "ending"} if fresh else _OWN
        own = {name: value for name, value in document.items() if name in owned and value is not None}
        own |= {name: _date(own.get(name)) for name in ("created_at", "cancel_requested_at")}
        if fresh:
            own = {name: value for name, value in own.items() if name == "status" or fits(value, _KINDS[name])}
            if document.get("objects_named") == UNKNOWN_OBJECTS:
                own["objects_named"] = UNKNOWN_OBJECTS
        request = {name: value for name, value in document.items() if name not in _OWN}
        task = structured({**own, "id": "", "request": request}, cls)
        if problems := _contradictions(task):
            raise InvalidTask(problems)
        own_request = {name: value for name, value in request.items() if name != "_id"}
        return evolve(task, id=cast("str", document["_id"]), request=own_request)

    @classmethod
    def blank(cls) -> Fields:
        """What the worker's fields are before it has anything to say; written with the first transition."""
        values = asdict(cls("", INITIAL, {}), recurse=False)
        return {name: values[name] for name in _OWN - _BEFORE_FIRST - {"seq", "history"}}

    def again(self, at: datetime, fields: Fields) -> Fields:
        """The fields of this task for its next attempt; ``fields`` are the last of the present one, which is kept aside."""
        ended = evolve(self, **cast("dict[str, Any]", fields))
        number, verdict = max(ended.attempt, 1), (ended.exit_code, ended.cause, ended.message)
        past = Attempt(
            number, ended.started_at, at, *verdict, ended.logs, ended.metrics, ended.artifacts_stored, ended.is_cut_off
        )
        blank = {name: value for name, value in self.blank().items() if name != "parts_begun"}  # another thread may add to it
        return {**blank, "attempt": past.attempt + 1, "attempts": (*self.attempts, past), "engine": ended.engine}

    @property
    def holder(self) -> str | None:
        """The token of the last worker that took the task; None if it has let go of it since."""
        return (self.lease.token or None) if self.lease else None

    @property
    def own_parts(self) -> Sequence[str]:
        """The keys of ``parts_begun``, without those that a foreign hand may have written: they are of other tasks."""
        return [key for key in self.parts_begun if key.startswith(f"{self.id}/")]

    @property
    def is_cut_off(self) -> bool:
        """Whether the worker of the present attempt had to leave before the program had all of its input."""
        own = self.container is not None and self.input is not None and self.input.container == self.container.id
        return own and self.input is not None and not self.input.whole

    @property
    def is_stranded(self) -> bool:
        """Whether it has ended without its log, which is left in the spool."""
        return self.cause is Cause.UPLOAD and self.logs is None

    @property
    def outcome(self) -> Outcome:
        """What became of the program, as recorded; meaningless before the state collecting."""
        return Outcome(self.exit_code, self.cause, self.message, dict(self.evidence))


def readable(documents: Iterable[Document]) -> Iterator[Task]:
    """The tasks among the documents; one that neither an owner nor a worker wrote is left alone."""
    for document in documents:
        try:
            yield Task.from_document(document)
        except InvalidTask as error:
            logger.error("task {} cannot be read: {}", document.get("_id"), error)


def _contradictions(task: Task) -> list[str]:
    """What no worker would have written, however well-formed."""
    path = [INITIAL, *(entry.status for entry in task.history)]
    expected = {
        "status": (task.status, path[-1]),
        "seq": (task.seq, len(task.history)),
        "attempt": (task.attempt or 1, len(task.attempts) + 1),
        "published": (task.published, min(max(task.published, 0), task.seq)),
        "history": ([(entry.seq, entry.source) for entry in task.history], [*enumerate(path[:-1], 1)]),
    }
    return [f"{name}: is not what its history says" for name, (found, right) in expected.items() if found != right]


def _date(value: object) -> datetime | None:
    """The one who inserted the task wrote it, perhaps as text; it is shown and sorted by, and nothing depends on it."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    return value if isinstance(value, datetime) and value.tzinfo else None


_KINDS = {attribute.name: attribute.type for attribute in fields(Task)}
_OWN = frozenset(_KINDS) - {"id", "request"}
_BEFORE_FIRST = frozenset({"status", "created_at", "lease", "engine", "cancel_requested_at", "nonce"})
