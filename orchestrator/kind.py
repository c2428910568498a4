"""What each field of a request accepts: one parser, one JSON Schema and one phrase for people, kept together."""

import base64
import binascii
import math
import re
from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

from attrs import frozen

from orchestrator.quantity import parse_duration, parse_size

T = TypeVar("T")
Schema = Mapping[str, object]


@frozen
class Kind(Generic[T]):
    """``parse`` raises ValueError when a value is not ``phrase``; ``schema`` is the same rule as JSON Schema has it."""

    phrase: str
    parse: Callable[[object], T]
    schema: Schema

    def __call__(self, value: object) -> T:
        """The parsed value. Raises ValueError with a sentence that says what was given and what is allowed."""
        try:
            return self.parse(value)
        except (ValueError, TypeError, OverflowError) as error:
            detail = str(error) if isinstance(error, Refused) else f"{_shown(value)} is not {self.phrase}"
            raise ValueError(detail) from None


class Refused(ValueError):
    """A value of the right type that is refused; the message is the whole sentence."""


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}… ({type(value).__name__})"


def _text(value: object) -> str:
    if not isinstance(value, str) or "\0" in value:
        raise ValueError
    value.encode()  # a lone surrogate cannot be stored or passed on: UnicodeEncodeError is a ValueError
    return value


def _matching(pattern: str) -> Callable[[object], str]:
    compiled = re.compile(pattern)

    def parse(value: object) -> str:
        if not compiled.fullmatch(text := _text(value)):
            raise ValueError
        return text

    return parse


def _number(low: float, parse: Callable[[object], T], *, whole: bool) -> Callable[[object], T]:
    def checked(value: object) -> T:
        if isinstance(value, bool) or (whole and isinstance(value, float)):
            raise ValueError
        number = parse(value)
        if not isinstance(number, int | float) or not math.isfinite(number) or not low <= number < _TOO_MUCH:
            raise ValueError
        return number

    return checked


def _plain(kind: type[T]) -> Callable[[object], T]:
    def parse(value: object) -> T:
        if kind is float and isinstance(value, int):
            value = float(value)
        if not isinstance(value, kind):
            raise ValueError
        return value

    return parse


def _content(value: object) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, Mapping):
        if set(value) != {"base64"} or not isinstance(value["base64"], str):
            raise ValueError
        try:
            return base64.b64decode(value["base64"], validate=True)
        except binascii.Error:
            raise ValueError from None
    if not isinstance(value, str):
        raise ValueError
    return value.encode()


def _command(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return ("sh", "-c", _text(value))
    if not isinstance(value, list | tuple) or not value:
        raise ValueError
    return tuple(_text(word) for word in value)


def _mapping(key: Callable[[object], str], value: Callable[[object], T]) -> Callable[[object], dict[str, T]]:
    def parse(given: object) -> dict[str, T]:
        if not isinstance(given, Mapping):
            raise ValueError
        return {key(name): value(content) for name, content in given.items()}

    return parse


def _file_path(value: object) -> str:
    path = _text(value)
    parts = path.split("/")
    if len(path) > _LONGEST_PATH or any(part in {"", ".", ".."} for part in parts):
        raise Refused(f"{_shown(path)} is not a relative path without empty, . or .. parts")
    return path


def _files(value: object) -> dict[str, bytes]:
    files = _mapping(_file_path, _content)(value)
    for path in files:
        above = path.rpartition("/")[0]
        while above:
            if above in files:
                raise Refused(f"{_shown(above)} is given both as a file and as a folder")
            above = above.rpartition("/")[0]
    return files


_SHOWN = 60
_TOO_MUCH = 1 << 53
_LONGEST_PATH = 512
_STRING: Schema = {"type": "string"}
_CONTENT: Schema = {
    "oneOf": [
        _STRING,
        {"type": "object", "properties": {"base64": _STRING}, "required": ["base64"], "additionalProperties": False},
    ]
}
_HOST = r"(?:[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?(?::\d+)?/)?"
_IMAGE = _HOST + r"[a-z0-9]+(?:[._/-]+[a-z0-9]+)*(?::\w[\w.-]{0,127})?(?:@sha256:[0-9a-f]{64})?"
_ID = r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}"
_USER = r"\d{1,10}(?::\d{1,10})?"
_ABSOLUTE = r"/[^\n]{0,511}"


def _pattern(pattern: str) -> Schema:
    return {"type": "string", "pattern": f"^(?:{pattern})$"}


ID = Kind(
    "an id of 1 to 128 letters, digits, '_', '.' and '-' that begins with a letter or digit", _matching(_ID), _pattern(_ID)
)
IMAGE = Kind("an image reference such as python:3.12-slim", _matching(_IMAGE), _pattern(_IMAGE))
USER = Kind("a numeric uid or uid:gid such as 1000:1000", _matching(_USER), _pattern(_USER))
FOLDER = Kind("an absolute path", _matching(_ABSOLUTE), _pattern(_ABSOLUTE))
FLAG = Kind("true or false", _plain(bool), {"type": "boolean"})
COMMAND = Kind(
    "a list of one or more strings, or one string for sh -c",
    _command,
    {"oneOf": [_STRING, {"type": "array", "items": _STRING, "minItems": 1}]},
)
CONTENT = Kind("text, or {base64: …}", _content, _CONTENT)
FILES = Kind("a map of relative paths to text or {base64: …}", _files, {"type": "object", "additionalProperties": _CONTENT})
ENV = Kind(
    "a map of names without '=' to strings",
    _mapping(_matching(r"[^=\x00]+"), _text),
    {"type": "object", "additionalProperties": _STRING, "propertyNames": {"pattern": "^[^=]+$"}},
)
LABELS = Kind("a map of strings to strings", _mapping(_text, _text), {"type": "object", "additionalProperties": _STRING})
CPUS = Kind("a number of CPUs of 0.01 or more", _number(0.01, _plain(float), whole=False), {"type": "number", "minimum": 0.01})
PIDS = Kind("a whole number of 1 or more", _number(1, _plain(int), whole=True), {"type": "integer", "minimum": 1})
SECONDS = Kind(
    "a time of more than 0 seconds, such as 30 or '30s'",
    _number(0.001, parse_duration, whole=False),
    {"oneOf": [{"type": "number", "exclusiveMinimum": 0}, {"type": "string", "pattern": r"^[\d.hmsHMS]+$"}]},
)


def size(low: int) -> Kind[int]:
    """A size of at least ``low`` bytes."""
    pattern = r"^\s*\d+(\.\d+)?\s*([bkmgtBKMGT]?)(i?[bB])?\s*$"
    return Kind(
        f"a size of {low} bytes or more, such as 134217728 or '128m'",
        _number(low, parse_size, whole=True),
        {"oneOf": [{"type": "integer", "minimum": low}, {"type": "string", "pattern": pattern}]},
    )
