"""The parameters of requests: their names, what each accepts, and how all bad ones are named at once."""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from http import HTTPStatus
from typing import Any

from attrs import fields_dict, frozen
from starlette.requests import Request

from orchestrator.cause import Cause
from orchestrator.ports import Stream
from orchestrator.server.problems import HttpError
from orchestrator.task import fields as kinds
from orchestrator.task.document import Task
from orchestrator.task.request import Request as TaskRequest
from orchestrator.task.units import parse_duration
from orchestrator.task.validation import Kind, matching, pattern_schema, shown, text
from statemachine import State

_QUERY, _PATH = "query", "path"
_FLAGS = ("0", "1")
_AGE = "[0-9]{1,4}[smhd]"
_WINDOW = "[1-9][0-9]{0,3}[smhd]"
_WAIT = "(?:[0-9]{1,2}|[12][0-9]{2}|300)s?|[0-9]{1,5}ms|[0-5]m"
_WHOLE = re.compile("[0-9]{1,18}")


@frozen
class Parameter:
    """``many``: it may be given several times; its value is a tuple then. ``default`` stands for one that is left out."""

    name: str
    kind: Kind[Any]
    meaning: str
    default: Any = None
    where: str = _QUERY
    many: bool = False
    needed: bool = False


def read(parameters: Sequence[Parameter], request: Request) -> dict[str, Any]:
    """The values of all parameters. Raises HttpError that names each one that is bad; of a path it is 404."""
    problems: list[str] = []
    values = {**{each.name: each.default for each in parameters}, **_in_path(parameters, request)}
    values |= dict(_in_query(parameters, request, problems))
    if problems:
        raise HttpError(HTTPStatus.BAD_REQUEST, "; ".join(problems), problems)
    return values


def _in_path(parameters: Sequence[Parameter], request: Request) -> dict[str, Any]:
    """Nothing can be where the path names what nothing can be called."""
    found = {}
    for each in (each for each in parameters if each.where == _PATH):
        try:
            found[each.name] = each.kind(request.path_params[each.name])
        except ValueError as error:
            raise HttpError(HTTPStatus.NOT_FOUND, f"{each.name}: {error}") from None
    return found


def _in_query(parameters: Sequence[Parameter], request: Request, problems: list[str]) -> Iterator[tuple[str, Any]]:
    known = {each.name: each for each in parameters if each.where == _QUERY}
    given = request.query_params
    for name in sorted({*given} - {*known}):
        allowed = f"allowed are {', '.join(known)}" if known else "none is"
        problems.append(f"{name if name.isidentifier() else shown(name)}: there is no such parameter here; {allowed}")
    for name, each in known.items():
        texts = given.getlist(name)
        if not texts:
            if each.needed:
                problems.append(f"{name}: is missing; it is {each.kind.phrase}")
        elif len(texts) > 1 and not each.many:
            problems.append(f"{name}: is given {len(texts)} times; once is allowed")
        else:
            values = [*_values(each, texts, problems)]
            if values:
                yield name, tuple(values) if each.many else values[0]


def _values(parameter: Parameter, texts: Sequence[str], problems: list[str]) -> Iterator[Any]:
    for given in texts:
        try:
            yield parameter.kind(given)
        except ValueError as error:
            problems.append(f"{parameter.name}: {error}")


def whole(phrase: str, low: int, high: int) -> Kind[int]:
    """A whole number written in digits."""

    def parse(given: object) -> int:
        if not isinstance(given, str) or not _WHOLE.fullmatch(given) or not low <= int(given) <= high:
            raise ValueError
        return int(given)

    return Kind(phrase, parse, {"type": "integer", "minimum": low, "maximum": high})


def choice(options: type[StrEnum]) -> Kind[Any]:
    """One of a closed set."""
    return Kind(f"one of {', '.join(options)}", options, {"enum": [each.value for each in options]})


def _moment(given: object) -> datetime:
    """An age, or a time with its zone."""
    if re.fullmatch(_AGE, written := text(given)):
        return datetime.now(UTC) - timedelta(seconds=parse_duration(written))
    at = datetime.fromisoformat(written)
    if at.tzinfo is None:
        raise ValueError
    return at.astimezone(UTC)


def _flag(given: object) -> bool:
    if given not in _FLAGS:
        raise ValueError
    return given == "1"


def _one(given: object) -> bool:
    if given != "1":
        raise ValueError
    return True


def _wait(given: object) -> float:
    return parse_duration(matching(_WAIT, 8)(given))


def _window(given: object) -> float:
    return parse_duration(matching(_WINDOW, 5)(given))


def _label(given: object) -> tuple[str, str]:
    name, equals, value = text(given).partition("=")
    if not name or not equals:
        raise ValueError
    return name, value


def _names(given: object) -> tuple[str, ...]:
    names = tuple(str(given).split(","))
    if not set(names) <= _FIELDS:
        raise ValueError
    return names


_FIELDS = ({*fields_dict(Task)} | {*fields_dict(TaskRequest)} | {"_id"}) - {"id", "request"}
STATUS, CAUSE, STREAM = choice(State), choice(Cause), choice(Stream)
PAGE = whole("a whole number from 1 to 1000", 1, 1000)
OFFSET = whole("a whole number of 0 or more", 0, 1 << 50)
ATTEMPT = whole("a whole number of 1 or more", 1, 1 << 31)
FLAG = Kind("0 or 1", _flag, {"enum": [*_FLAGS]})
ONE = Kind("1, the only way in which it is answered", _one, {"enum": ["1"]})
TEXT = Kind("text without NUL", text, {"type": "string", "pattern": "^[^\\u0000]*$"})
MOMENT = Kind(
    "an age such as 90m or 2h, or a time with its zone such as 2030-01-31T12:00Z",
    _moment,
    {"anyOf": [pattern_schema(_AGE), {"type": "string", "format": "date-time"}]},
)
WAIT = Kind("a time such as 30s, at most 300 s", _wait, pattern_schema(_WAIT))
WINDOW = Kind("a time such as 10m or 1h, a second at least", _window, pattern_schema(_WINDOW))
LABEL = Kind("a label NAME=VALUE", _label, pattern_schema("[^=\\x00]+=[^\\x00]*"))
NAMES = Kind(
    "names of a task's fields with commas between them",
    _names,
    pattern_schema(f"(?:{'|'.join(sorted(_FIELDS))})(?:,(?:{'|'.join(sorted(_FIELDS))}))*"),
)
_BEGINNING = r"[a-zA-Z0-9][a-zA-Z0-9_.-]{3,}"
PREFIX = Kind("4 or more characters of an id", matching(_BEGINNING, 128), pattern_schema(_BEGINNING, 128))
_POSITION = r"[0-9]{1,9}:[0-9]{1,15}:[0-9]{1,15}:(?:-1|[0-9]{1,9})"
PLACE = Kind("the id of an entry of this stream", matching(_POSITION, 64), pattern_schema(_POSITION, 64))
ID = Parameter("id", kinds.ID, "The id of the task.", where=_PATH)
WHICH = Parameter("stream", STREAM, "Which of the streams.", where=_PATH)
ARTIFACT = Parameter("path", TEXT, "The path of the file below /out.", where=_PATH)
