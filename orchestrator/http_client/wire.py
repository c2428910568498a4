"""What the HTTP API says, as the package's own values: tasks, events, pieces of output, errors. Opens no connection."""

import base64
import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from http import HTTPStatus
from types import UnionType
from typing import Any, get_args, get_origin
from urllib.parse import quote

from attrs import fields, frozen, has

from orchestrator.errors import (
    DuplicateTask,
    InfrastructureError,
    InvalidTask,
    NotEnded,
    NotSettled,
    OrchestratorError,
    SettingsError,
    UnknownTask,
    WrongDatabase,
)
from orchestrator.output.following import Missed
from orchestrator.ports import Piece, Point, Stream
from orchestrator.settings.settings import Settings
from orchestrator.task.document import Task
from orchestrator.task.event import Event
from orchestrator.task.plain import as_json

Item = Piece | Missed | Point | Event
SERVICE = "the HTTP API"
Order = tuple[Mapping[str, object], str]
"""What a task asks for, and its id."""
PAGE = 1000
"""Tasks in one answer, or one request."""
_TOGETHER = 1 << 20
"""Bytes of tasks in one request; a larger one goes alone."""
_KINDS: Mapping[str, type[OrchestratorError]] = {
    kind.__name__: kind for kind in (DuplicateTask, NotEnded, NotSettled, UnknownTask, WrongDatabase)
}
_GONE = frozenset({404, 409, 410})
_REFUSED = frozenset({401, 403, 421})
_MALFORMED = frozenset({400, 413, 415, 422})
_LATER = frozenset({408, 429})
"""Of 4xx these alone may become something else when the call is made again."""


@frozen
class Api:
    """Where the API is, and the token for it."""

    url: str
    token: str

    @classmethod
    def of(cls, settings: Settings) -> "Api":
        """As the settings say."""
        return cls(settings.orchestrator_url.rstrip("/"), settings.orchestrator_token)

    @property
    def headers(self) -> Mapping[str, str]:
        """What every request has."""
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}


def task_path(task_id: str, rest: str = "") -> str:
    """The path of a task, or of something of it."""
    return f"/v1/tasks/{quote(task_id, safe='')}{rest}"


def artifact_path(task_id: str, path: str) -> str:
    """That of one of its files."""
    return task_path(task_id, f"/artifacts/{quote(path)}")


def error_of(status: int, body: bytes) -> OrchestratorError:
    """The error that an answer stands for."""
    problem = _problem(body)
    words = str(problem.get("detail") or f"it answers {status}")
    if status in _REFUSED:
        return SettingsError(f"ORCHESTRATOR_TOKEN: {words}")
    if kind := _KINDS.get(str(problem.get("type", "")).rpartition(":")[2]):
        return kind(words)
    errors = problem.get("errors")
    if isinstance(errors, list) and status in {400, 422}:
        return InvalidTask([f"{each['field']}: {each['message']}" if each["field"] else each["message"] for each in errors])
    return _by_status(status, words)


def _by_status(status: int, words: str) -> OrchestratorError:
    if status in _GONE:
        return UnknownTask(words)
    if status in _MALFORMED:
        return InvalidTask([words])
    if status in range(400, 500) and status not in _LATER:
        return SettingsError(f"ORCHESTRATOR_URL: {words}")
    return InfrastructureError(SERVICE, words)


def _problem(body: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def task_of(document: Mapping[str, object]) -> Task:
    """The task of a document in JSON, in which times are text."""
    kinds = {field.name: field.type for field in fields(Task) if field.name not in {"id", "request"}}
    return Task.from_document({name: _revived(value, kinds.get(name)) for name, value in document.items()})


def batches(orders: Iterable[Order]) -> Iterator[list[Order]]:
    """As many as go into one request, in order. A body above the ceiling may be cut off before the answer is read."""
    some: list[Order] = []
    size = 0
    for request, task_id in orders:
        own = len(as_json(request, indent=None))
        if some and (len(some) == PAGE or size + own > _TOGETHER):
            yield some
            some, size = [], 0
        some.append((request, task_id))
        size += own
    if some:
        yield some


def result_of(entry: Mapping[str, Any], *, is_first: bool) -> Task | InvalidTask | DuplicateTask:
    """What became of one task of a batch; raises what else went wrong with it.

    A task that was handed in before is another one's when the batch is handed in for the first time.
    """
    if "task" not in entry:
        error = error_of(entry["status"], json.dumps(entry["problem"]).encode())
        if isinstance(error, InvalidTask | DuplicateTask):
            return error
        raise error
    if entry["status"] == HTTPStatus.OK and is_first:
        return DuplicateTask(f"id: the id {entry['id']!r} is that of a task already")
    return task_of(entry["task"])


def _revived(value: object, kind: object) -> object:
    """The value with the times that a kind has."""
    if value is None or kind is None:
        return value
    if get_origin(kind) is UnionType:
        return _revived(value, next(each for each in get_args(kind) if each is not type(None)))
    if kind is datetime and isinstance(value, str):
        return datetime.fromisoformat(value)
    if get_origin(kind) is tuple and isinstance(value, list):
        return [_revived(each, get_args(kind)[0]) for each in value]
    if isinstance(kind, type) and has(kind) and isinstance(value, dict):
        return {field.name: _revived(value[field.name], field.type) for field in fields(kind) if field.name in value}
    return value


class Entries:
    """Puts the lines of a stream of server-sent events together."""

    def __init__(self) -> None:
        self._fields: dict[str, str] = {}

    def take(self, line: str) -> Iterator[Mapping[str, str]]:
        """The entry that ends with this line, if one does."""
        name, _, value = line.partition(":")
        if name:
            self._fields[name] = value.removeprefix(" ")
        elif not line and self._fields:
            entry, self._fields = self._fields, {}
            yield entry


def item_of(entry: Mapping[str, str]) -> Item | None:
    """What an entry tells; None when it is of a kind that is not known here."""
    data = json.loads(entry.get("data", "{}"))
    match entry.get("event"):
        case "transition":
            return Event.from_json(entry["data"])
        case "piece":
            return Piece(data["attempt"], Stream(data["stream"]), data["offset"], base64.b64decode(data["data"]))
        case "missed":
            return Missed(data["attempt"], Stream(data["stream"]), data["offset"], data["bytes"])
        case "sample":
            return Point(**data)
    return None


@frozen
class Place:
    """Where one who follows is: what the ids of the stream's entries say."""

    attempt: int
    offsets: Mapping[Stream, int]
    seq: int

    def __str__(self) -> str:
        return ":".join(map(str, (self.attempt, *(self.offsets.get(stream, 0) for stream in Stream), self.seq)))
