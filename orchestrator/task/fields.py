"""What each field of a request accepts."""

import base64
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from attrs import NOTHING, field, fields

from orchestrator.task.artifact import WHOLE
from orchestrator.task.units import BYTES, COUNT, DURATION, FOREVER, LONGEST, NUMBER, SIZE, TIME, parse_duration, parse_size
from orchestrator.task.validation import (
    TOO_MUCH,
    Kind,
    Refused,
    mapping,
    mapping_schema,
    matching,
    number,
    pattern_schema,
    shown,
    text,
    word,
)

T = TypeVar("T")
_KIND = "kind"


def accepts(
    what: Kind[T],
    default: object = NOTHING,
    factory: Callable[[], T] | None = None,
    metadata: Mapping[str, object] | None = None,
) -> T:
    """A field of an attrs class that takes values of this kind."""
    given = {"factory": factory} if factory else {"default": default}
    return field(**given, metadata={_KIND: what, **(metadata or {})}, kw_only=True)  # type: ignore[no-any-return]


def kinds_of(cls: type) -> dict[str, Kind[Any]]:
    """The fields of an attrs class that carry a kind, by name."""
    return {attribute.name: attribute.metadata[_KIND] for attribute in fields(cls) if _KIND in attribute.metadata}


def _float(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError
    return float(value)


def _whole(value: object) -> int:
    """Many languages know one kind of number only, so 3.0 is whole, as in JSON Schema."""
    given = _float(value)
    if not given.is_integer():
        raise ValueError
    return int(given)


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError
    return value


def _overflow(value: object) -> str:
    if value not in (END, DROP_MIDDLE):
        raise ValueError
    return str(value)


def _content(value: object) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode()
    if not isinstance(value, Mapping) or set(value) != {"base64"} or not isinstance(value["base64"], str):
        raise ValueError
    return base64.b64decode(value["base64"], validate=True)


def _command(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return ("sh", "-c", _passable("a string", text(value)))
    if not value:
        raise ValueError
    return _strings(value)


def _entrypoint(value: object) -> tuple[str, ...]:
    """A string is one program without arguments, as for ``docker run``; an empty one, or list, is none."""
    if isinstance(value, str):
        return _strings([value] if value else [])
    return _strings(value)


def _strings(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        raise ValueError
    return tuple(_passable("a string", text(each)) for each in value)


def _env(value: object) -> dict[str, str]:
    env = mapping(VARIABLE, TEXT)(value)
    for name, content in env.items():
        _passable(f"{shown(name)} with its value", f"{name}={content}")
    return env


def _passable(what: str, string: str) -> str:
    """A string that a program can be started with. Raises Refused."""
    if (size := len(string.encode())) > LONGEST_STRING:
        raise Refused(f"{what} of {size} bytes is above the {LONGEST_STRING} that Linux starts a program with")
    return string


def _folder(value: object) -> str:
    path = matching(_ABSOLUTE, _LONGEST_PATH)(value)
    if (longest := _longest_part(path)) > _LONGEST_NAME:
        raise Refused(f"a part of {longest} bytes is above the {_LONGEST_NAME} that a file system allows")
    return path


def _file_name(value: object) -> str:
    path = matching(_FILE, _LONGEST_PATH)(value)
    if _longest_part(path) > _LONGEST_NAME:
        raise ValueError
    return path


def _longest_part(path: str) -> int:
    return max(len(part.encode()) for part in path.split("/"))


def _files(value: object) -> dict[str, bytes]:
    files = mapping(FILE_NAME, CONTENT)(value)
    if len(files) > MOST_FILES:
        raise Refused(f"{len(files)} files are above the ceiling of {MOST_FILES}")
    folders = {above for path in files for above in _above(path)}
    if both := sorted(folders & files.keys()):
        raise Refused(f"{shown(both[0])} is given both as a file and as a folder")
    if (many := len(files) + len(folders)) > MOST_FILES:
        raise Refused(f"{many} files and folders are above the ceiling of {MOST_FILES}")
    return files


def _above(path: str) -> Iterator[str]:
    """The folders on the way to a file."""
    parts = path.split("/")
    return ("/".join(parts[:depth]) for depth in range(1, len(parts)))


def _paths(value: object) -> tuple[str, ...]:
    """Each once."""
    if not isinstance(value, list | tuple):
        raise ValueError
    paths = tuple(each if each == WHOLE else _file_name(each) for each in value)
    if twice := sorted(path for path, times in Counter(paths).items() if times > 1):
        raise Refused(f"{shown(twice[0])} is given twice")
    return paths


END, DROP_MIDDLE = "end", "drop_middle"
MOST_FILES = 4096
"""Files and folders of a task together: each costs the host, however small it is."""
LONGEST_STRING = (128 << 10) - 1
"""Bytes of one argument, or of a variable with its value and the ``=`` between: MAX_ARG_STRLEN of Linux without the NUL."""
_LONGEST_PATH = 512
_LONGEST_NAME = 255
_HOST = r"(?:(?:[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?|\[[0-9a-fA-F:]+\])(?::[0-9]+)?/)?"
_NAME = r"[a-z0-9]+(?:(?:[./]|__?|-+)[a-z0-9]+)*"
_DIGEST = r"(?:sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128})"
_IMAGE = _HOST + _NAME + r"(?::[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,127})?(?:@" + _DIGEST + ")?"
_PART = r"(?!\.{1,2}(?![^/]))[^/\u0000]+"
_FILE = rf"{_PART}(?:/{_PART})*"
_ABSOLUTE = r"/[^\n\u0000]*"
_ANY = r"[^\u0000]*"
_BASE64 = r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?"

ID = word(
    "an id of 1 to 128 letters, digits, '_', '.' and '-' that begins with a letter or digit",
    r"[a-zA-Z0-9][a-zA-Z0-9_.-]*",
    128,
)
IMAGE = word("an image reference such as python:3.12-slim", _IMAGE, 512)
USER = word("a numeric uid or uid:gid such as 1000:1000", r"[0-9]{1,10}(?::[0-9]{1,10})?", 21)
RUNTIME = word("the name of a runtime of the engine such as runsc", r"[a-zA-Z0-9][a-zA-Z0-9_.-]*", 64)
FOLDER = Kind("an absolute path", _folder, pattern_schema(_ABSOLUTE, _LONGEST_PATH))
FLAG = Kind("true or false", _flag, {"type": "boolean"})
TEXT = Kind("a string without NUL", text, pattern_schema(_ANY))
OVERFLOW = Kind(f"{END!r} or {DROP_MIDDLE!r}", _overflow, {"enum": [END, DROP_MIDDLE]})
_STRING = pattern_schema(_ANY, LONGEST_STRING)
COMMAND = Kind(
    "a list of one or more strings, or one string for sh -c",
    _command,
    {"oneOf": [_STRING, {"type": "array", "items": _STRING, "minItems": 1}]},
)
ENTRYPOINT = Kind(
    "a list of strings, or one string that is a program",
    _entrypoint,
    {"oneOf": [_STRING, {"type": "array", "items": _STRING}]},
)
CONTENT = Kind(
    "text, or {base64: …}",
    _content,
    {
        "oneOf": [
            {"type": "string"},
            {
                "type": "object",
                "properties": {"base64": pattern_schema(_BASE64)},
                "required": ["base64"],
                "additionalProperties": False,
            },
        ]
    },
    private=True,
)
FILE_NAME = Kind("a relative path without empty, '.' or '..' parts", _file_name, pattern_schema(_FILE, _LONGEST_PATH))
FILES = Kind(
    "a map of relative paths to text or {base64: …}",
    _files,
    {**mapping_schema(FILE_NAME, CONTENT), "maxProperties": MOST_FILES},
    private=True,
)
PATHS = Kind(
    f"a list of relative paths without empty, '.' or '..' parts, or {WHOLE!r} for all",
    _paths,
    {"type": "array", "items": {"oneOf": [{"const": WHOLE}, FILE_NAME.schema]}, "uniqueItems": True},
)
VARIABLE = Kind("a name without '='", matching(r"[^=]+", 1 << 15), pattern_schema(r"[^=\u0000]+", 1 << 15))
ENV = Kind(
    "a map of names to strings",
    _env,
    {"type": "object", "propertyNames": VARIABLE.schema, "additionalProperties": _STRING},
    private=True,
)
LABELS = Kind("a map of strings to strings", mapping(TEXT, TEXT), mapping_schema(TEXT, TEXT))
CPUS = Kind(
    "a number of CPUs of 0.01 or more",
    number(0.01, _float),
    {"type": "number", "minimum": 0.01, "exclusiveMaximum": TOO_MUCH},
    unit=NUMBER,
)
SECONDS = Kind(
    "a time of 0.001 seconds or more, such as 30 or '30s'",
    number(0.001, parse_duration),
    {
        "oneOf": [
            {"type": "number", "minimum": 0.001, "exclusiveMaximum": FOREVER},
            pattern_schema(DURATION, LONGEST),
        ]
    },
    unit=TIME,
)

KEEP = Kind(
    "a time of 0 seconds or more, such as 86400 or '90d', 0 meaning for ever",
    number(0.0, parse_duration),
    {
        "oneOf": [
            {"type": "number", "minimum": 0, "exclusiveMaximum": FOREVER},
            pattern_schema(DURATION, LONGEST),
        ]
    },
    unit=TIME,
)


def _count(low: int) -> Kind[int]:
    schema = {"type": "integer", "minimum": low, "exclusiveMaximum": TOO_MUCH}
    return Kind(f"a whole number of {low} or more", number(low, _whole), schema, unit=COUNT)


POSITIVE = _count(1)
RETRIES = _count(0)


def size(low: int) -> Kind[int]:
    """A size of at least ``low`` bytes."""
    plain = {"type": "integer", "minimum": low, "exclusiveMaximum": TOO_MUCH}
    return Kind(
        f"a size of {low} bytes or more, such as 134217728 or '128m'",
        number(low, parse_size),
        {"oneOf": [plain, pattern_schema(SIZE, LONGEST)]},
        unit=BYTES,
    )
