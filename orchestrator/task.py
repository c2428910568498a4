"""The task document: what is stored about a task, as one frozen value. It knows no database and no container."""

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Self

import cattrs
from attrs import evolve, field, fields, frozen

from orchestrator.cause import Cause
from orchestrator.errors import InvalidTask
from statemachine import State, Trigger

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
    """One stream in object storage: ``bytes`` and ``sha256`` of the object; ``truncated`` says whether output was dropped."""

    key: str
    bytes: int
    sha256: str
    truncated: bool


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
    """What the samples say. Without a sample both usages are null; ``duration_s`` is by the engine's clock."""

    cpu_percent: Usage | None
    memory_bytes: Usage | None
    samples: int
    duration_s: float


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
class Task:
    """A task as stored. ``request`` holds the fields its owner wrote, unchecked; all others are the worker's."""

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
    lease: Lease | None = None

    @classmethod
    def from_document(cls, document: Document) -> Self:
        """Read a stored document. Raises InvalidTask when a field that the worker owns is not what the worker writes."""
        own = {name: value for name, value in document.items() if name in _OWN and value is not None}
        request = {name: value for name, value in document.items() if name not in _OWN}
        try:
            task = _codec().structure({**own, "id": document["_id"], "request": request}, cls)
        except cattrs.BaseValidationError as error:
            raise InvalidTask(cattrs.transform_error(error, path="task")) from error
        return evolve(task, request={name: value for name, value in request.items() if name != "_id"})

    @property
    def outcome(self) -> Outcome:
        """What became of the program, as recorded; meaningless before the state collecting."""
        return Outcome(self.exit_code, self.cause, self.message, dict(self.evidence))


def to_document(changes: Fields) -> dict[str, object]:
    """The stored form of some of a task's fields: plain dicts, lists, strings, numbers and datetimes."""
    return {name: _codec().unstructure(value) for name, value in changes.items()}


@cache
def _codec() -> cattrs.Converter:
    codec = cattrs.Converter()
    codec.register_structure_hook(datetime, lambda value, _: _instant(value))
    codec.register_unstructure_hook(datetime, lambda value: value)
    codec.register_structure_hook_func(lambda kind: kind == Document, lambda value, _: value)
    return codec


def _instant(value: object) -> datetime:
    if not isinstance(value, datetime):
        raise TypeError(f"{value!r} is not a date")
    return value


_OWN = frozenset(attribute.name for attribute in fields(Task)) - {"id", "request"}
