"""The task document: what is stored about a task, as one frozen value. It knows no database and no container."""

from collections.abc import Hashable, Iterable, Iterator, Mapping
from datetime import datetime
from enum import StrEnum
from functools import cache, partial
from operator import eq
from typing import Any, Self, TypeVar, cast

import cattrs
from attrs import asdict, evolve, field, fields, frozen
from loguru import logger

from orchestrator.artifact import Artifact, Refusal
from orchestrator.cause import Cause
from orchestrator.errors import InvalidTask
from orchestrator.kind import shown
from statemachine import INITIAL, State, Trigger

T = TypeVar("T")
N = TypeVar("N", int, float)
Document = Mapping[str, object]
"""A task as the database has it."""
Fields = Mapping[str, object]
"""New values for some of a task's fields, by name; what a unit of work hands to ``record``."""


@frozen
class Entry:
    """One transition in ``history``. ``seq`` counts from 1; ``at`` is UTC with milliseconds."""

    seq: int
    trigger: Trigger
    source: State
    status: State
    at: datetime
    attempt: int = 1


@frozen
class ContainerRef:
    """Which container runs the task: its id, its deterministic name and the id of the engine that has it."""

    id: str
    name: str
    engine: str


@frozen
class LogObject:
    """One stream in object storage: ``bytes`` and ``sha256`` of the object.

    ``truncated`` says that it is less than the program wrote: ``dropped`` bytes came after the limit, or the end was lost.
    """

    key: str
    bytes: int
    sha256: str
    truncated: bool
    dropped: int = 0


@frozen
class Logs:
    """Where the output of the program is."""

    bucket: str
    stdout: LogObject
    stderr: LogObject


@frozen
class Usage:
    """A sampled quantity over the run."""

    max: float
    avg: float


@frozen
class Metrics:
    """What the run used. Without a sample both usages are null; ``duration_s`` is wall time by the engine's clock.

    The rest is for all processes together, from the container's start to its end, and null where nothing could be read:
    CPU time and the time for which the CPU limit held the program up, in seconds, and the true peaks of memory, page cache and
    tmpfs included, and of processes and threads. ``source`` says where each figure is from.
    """

    cpu_percent: Usage | None
    memory_bytes: Usage | None
    samples: int
    duration_s: float
    cpu_time_s: float | None = None
    throttled_s: float | None = None
    memory_peak_bytes: int | None = None
    pids_peak: int | None = None
    source: Mapping[str, str] = field(factory=dict)


@frozen
class Lease:
    """Who works on the task. ``token`` is new for every claim and fences off earlier holders; times are the database's."""

    worker: str
    token: str
    expires_at: datetime


@frozen
class Outcome:
    """What became of the program; ``cause`` is null when it succeeded."""

    exit_code: int | None
    cause: Cause | None
    message: str
    evidence: dict[str, object] = field(factory=dict)


@frozen
class Attempt:
    """An attempt that was followed by another: what became of it, and where its output is when it was stored."""

    attempt: int
    started_at: datetime | None
    ended_at: datetime
    exit_code: int | None
    cause: Cause | None
    message: str
    logs: Logs | None
    metrics: Metrics | None
    artifacts_stored: tuple[Artifact, ...] = ()


@frozen
class Task:
    """A task as stored. ``request`` holds the fields its owner wrote, unchecked; all others are the worker's.

    Whoever inserted it may have given it an ``id`` that is no string: it is refused like any bad id, once it is to start.
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
    lease: Lease | None = None

    @classmethod
    def from_document(cls, document: Document) -> Self:
        """Read a stored document. Raises InvalidTask when a field that the worker owns is not what the worker writes.

        Before the first transition most of them mean nothing, whatever a foreign hand wrote there.
        """
        if not isinstance(document["_id"], Hashable):
            raise InvalidTask([f"_id: {shown(document['_id'])} is not an id"])
        fresh = document.get("status") == INITIAL and not document.get("history")
        owned = _BEFORE_FIRST if fresh else _OWN
        own = {name: value for name, value in document.items() if name in owned and value is not None}
        own |= {name: _date(own.get(name)) for name in ("created_at", "cancel_requested_at")}
        if fresh:
            own = {name: value for name, value in own.items() if _fits(name, value)}
        request = {name: value for name, value in document.items() if name not in _OWN}
        try:
            task = _codec().structure({**own, "id": "", "request": request}, cls)
        except cattrs.BaseValidationError as error:
            lines = cattrs.transform_error(error, path="", format_exception=_reason)
            raise InvalidTask([_path_first(line) for line in lines]) from error
        if below := [name for name in _COUNTS if getattr(task, name) < 0]:
            raise InvalidTask([f"{name}: {getattr(task, name)} is below 0" for name in below])
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
        past = Attempt(number, ended.started_at, at, *verdict, ended.logs, ended.metrics, ended.artifacts_stored)
        return {**self.blank(), "attempt": past.attempt + 1, "attempts": (*self.attempts, past), "engine": ended.engine}

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


def to_document(changes: Fields) -> dict[str, object]:
    """The stored form of some of a task's fields: plain dicts, lists, strings, numbers and datetimes."""
    return {name: _codec().unstructure(value) for name, value in changes.items()}


@cache
def _codec() -> cattrs.Converter:
    codec = cattrs.Converter()
    for kind in (str, bool, datetime):
        codec.register_structure_hook(kind, _exactly)
    for number in (int, float):
        codec.register_structure_hook(number, _number)
    for choice in (State, Trigger, Cause):
        codec.register_structure_hook(choice, lambda value, kind: kind(value))
    codec.register_structure_hook_func(lambda kind: kind == Document, lambda value, _: _exactly(value, dict))
    for row in (Entry, Attempt, Artifact, Refusal):
        codec.register_structure_hook_func(partial(eq, tuple[row, ...]), partial(_rows, row))  # type: ignore[valid-type]
    codec.register_unstructure_hook(datetime, lambda value: value)
    codec.register_unstructure_hook(StrEnum, lambda value: value.value)
    return codec


def _reason(error: BaseException, _: type | None) -> str:
    return "is missing" if isinstance(error, KeyError) else str(error)


def _path_first(line: str) -> str:
    reason, _, path = line.rpartition(" @ ")
    return f"{path.lstrip('.') or 'task'}: {reason}"


def _exactly(value: object, kind: type[T]) -> T:
    """No coercion: a task read as something else than what is stored could never be compared and set."""
    if not isinstance(value, kind):
        raise TypeError(f"{shown(value)} is not of type {kind.__name__}")
    return value


def _number(value: object, kind: type[N]) -> N:
    """Numbers compare by value in the database, so 3 and 3.0 are the same one."""
    if isinstance(value, bool) or not isinstance(value, int | float) or kind(value) != value:
        raise TypeError(f"{shown(value)} is not of type {kind.__name__}")
    return kind(value)


def _fits(name: str, value: object) -> bool:
    """Whether a value can be read as the field; the status always has to be."""
    try:
        _codec().structure(value, getattr(fields(Task), name).type)
    except (cattrs.BaseValidationError, TypeError, ValueError):
        return name == "status"
    return True


def _date(value: object) -> datetime | None:
    """Whoever inserted the task wrote it, some as text; it is shown and sorted by, and nothing depends on it."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    return value if isinstance(value, datetime) and value.tzinfo else None


def _rows(kind: type[T], value: object, _: object) -> tuple[T, ...]:
    return tuple(_codec().structure(row, kind) for row in _exactly(value, list))


_OWN = frozenset(attribute.name for attribute in fields(Task)) - {"id", "request"}
_COUNTS = ("seq", "attempt", "published")
_BEFORE_FIRST = frozenset({"status", "created_at", "lease", "engine", "cancel_requested_at"})
