"""What the text of a single setting may be. Each reads one kind of value, and raises ValueError that says what it has to be.

What a task may have as well is of the kind that its field has; here is what only a setting may be.
"""

import re
from collections.abc import Callable
from math import ulp
from pathlib import Path
from typing import Any, TypeVar

from orchestrator.ports import PullPolicy
from orchestrator.task import fields as kinds
from orchestrator.task.units import parse_duration, parse_size
from orchestrator.task.validation import Kind
from orchestrator.task.validation import number as bounded
from orchestrator.task.values import LONGEST_LEASE
from orchestrator.urls import is_host

N = TypeVar("N", int, float)
_TRUE, _FALSE = frozenset({"1", "true", "yes", "on"}), frozenset({"0", "false", "no", "off"})


def flag(text: str) -> bool:
    """Yes or no."""
    if (said := text.strip().lower()) in _TRUE | _FALSE:
        return said in _TRUE
    raise ValueError("true or false")


def number(parse: Callable[[Any], N], phrase: str, *, zero: bool = False) -> Callable[[str], N]:
    """A number above 0, or also 0, that a double holds exactly when it is whole; ``phrase`` says so to people."""
    return Kind(phrase, bounded(0 if zero else ulp(0.0), parse), {}).from_text


def port(text: str) -> int:
    """A TCP port, or 0."""
    if not re.fullmatch("[0-9]{1,5}", text) or int(text) >= 1 << 16:
        raise ValueError("a port number, or 0")
    return int(text)


def plain(text: str) -> str:
    """Text that can be stored, sent and shown."""
    if _UNFIT.search(text):
        raise ValueError("text in UTF-8 without control characters")
    return text


def word(text: str) -> str:
    """Anything that is not blank."""
    if not text.strip():
        raise ValueError("a word")
    return plain(text)


def host(text: str) -> str:
    """The name or address of a host."""
    if not re.fullmatch(r"[^\s/@\[\]]+", word(text)) or not is_host(text):
        raise ValueError("an address or a host name")
    return text


def path(text: str) -> Path:
    """A path in the file system."""
    return Path(plain(text))


def shaped(pattern: str, phrase: str) -> Callable[[str], str]:
    """Text of which all matches a pattern; ``phrase`` says to people what that is."""
    whole = re.compile(pattern)

    def checked(text: str) -> str:
        if not whole.fullmatch(text):
            raise ValueError(phrase)
        return plain(text)

    return checked


def words(text: str) -> tuple[str, ...]:
    """Words between commas, spaces or line ends, none of which an image or runtime can have in its name."""
    return tuple(map(plain, text.replace(",", " ").split()))


def warm(text: str) -> tuple[tuple[str, int], ...]:
    """Images, each with the number of containers that wait for a task."""
    found: dict[str, int] = {}
    for entry in words(text):
        image, _, count = entry.rpartition("=")
        if image in found or not re.fullmatch("[1-9][0-9]{0,2}", count):
            raise ValueError(_WARM_PHRASE)
        try:
            found[kinds.IMAGE(image)] = int(count)
        except ValueError:
            raise ValueError(_WARM_PHRASE) from None
    return tuple(found.items())


def label_names(text: str) -> tuple[str, ...]:
    """Names that can be the path of an index."""
    names = words(text)
    if bad := [name for name in names if name.startswith("$") or "." in name]:
        raise ValueError(f"names of labels without a dot and a dollar at the beginning, and not {bad[0]!r}")
    return names


def database(text: str) -> str:
    """The name of a database of MongoDB, which counts bytes."""
    if len(_DATABASE(text).encode()) > _LONGEST_DATABASE:
        raise ValueError(_DATABASE_PHRASE)
    return text


def endpoint(text: str) -> str:
    """Host and port of an S3 server."""
    name, _, number = _ENDPOINT(text).rpartition(":") if re.search(":[0-9]+$", text) else (text, "", "")
    if not (name.startswith("[") or is_host(name)) or int(number or 1) not in range(1, 1 << 16):
        raise ValueError(_ENDPOINT_PHRASE)
    return text


def policy(text: str) -> PullPolicy:
    """When to pull images."""
    try:
        return PullPolicy(text)
    except ValueError:
        raise ValueError(f"one of {', '.join(PullPolicy)}") from None


def docker_host(text: str) -> str:
    """docker-py wants three slashes before an absolute socket path; two are what people write."""
    if not plain(text).startswith(("unix://", "tcp://", "http://")):
        raise ValueError("a URL that begins with unix:// or tcp://")
    return "unix:///" + text.removeprefix("unix://").lstrip("/") if text.startswith("unix://") else text


def lease(text: str) -> float:
    """Seconds, no more than a lease may last."""
    if (seconds := SECONDS(text)) > LONGEST_LEASE:
        raise ValueError(f"a time of at most {LONGEST_LEASE:g} s")
    return seconds


def artifact_files(text: str) -> int:
    """How many files of a task are kept; the document of the task has to have room for their names."""
    if (count := COUNT(text)) > MOST_ARTIFACT_FILES:
        raise ValueError(f"a whole number from 1 to {MOST_ARTIFACT_FILES}")
    return count


MOST_ARTIFACT_FILES = 20_000
COUNT = kinds.POSITIVE.from_text
COUNT_OR_NONE = number(int, "a whole number of 0 or more", zero=True)
USER = kinds.USER.from_text
RUNTIME = kinds.RUNTIME.from_text
SIZE = number(parse_size, "a size such as 128m")
FACTOR = number(float, "a factor such as 4")
BUDGET = number(parse_size, "a size such as 16g, or 0", zero=True)
SECONDS = number(parse_duration, "a time such as 30s")
SECONDS_OR_NONE = number(parse_duration, "a time such as 30s, or 0", zero=True)
_WARM_PHRASE = "a list of images, each once and with a number from 1 to 999, such as python:3.12=4 busybox=2"
_ENDPOINT_PHRASE = "host:port, without a scheme or path"
_ENDPOINT = shaped(r"([\w.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?", _ENDPOINT_PHRASE)
KEY = shaped("[!-~]+", "a word of printable ASCII")
REGION = shaped(r"(?![_-])[A-Za-z0-9_-]{1,63}(?<![_-])", "a region such as us-east-1")
BUCKET = shaped(
    r"(?!.*(\.\.|\.-|-\.))(?!([0-9]+\.){3}[0-9]+$)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]",
    "a bucket name: 3 to 63 lower-case letters, digits, dots and hyphens",
)
_LONGEST_DATABASE = 63
_DATABASE_PHRASE = 'a database name without / \\ . " $ * < > : | ? or spaces, of at most 63 characters'
_DATABASE = shaped(r"[^/\\. \"$*<>:|?\x00-\x1f]{1,63}", _DATABASE_PHRASE)
_UNFIT = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
"""Control characters, and the surrogates that stand for bytes of no UTF-8."""
