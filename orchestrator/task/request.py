"""The part of a task document that its owner writes, checked: every bad field is named at once."""

import sys
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from functools import lru_cache
from typing import Self, TypeVar

import cattrs
from attrs import asdict, evolve, field, fields, frozen
from cattrs.gen import make_dict_structure_fn, override

from orchestrator.errors import InvalidTask
from orchestrator.task import fields as kinds
from orchestrator.task.fields import accepts, kinds_of
from orchestrator.task.image_policy import allowed
from orchestrator.task.limits import Limits
from orchestrator.task.units import format_size
from orchestrator.task.validation import Kind, Refused, sentences, shown
from orchestrator.task.values import Document

T = TypeVar("T")


@frozen
class Request:
    """What to run."""

    image: str = accepts(kinds.IMAGE)
    command: tuple[str, ...] | None = accepts(kinds.COMMAND, None)
    """None: the image's own."""
    entrypoint: tuple[str, ...] | None = accepts(kinds.ENTRYPOINT, None)
    """In place of the image's; empty: the command is the whole program."""
    env: dict[str, str] = accepts(kinds.ENV, factory=dict)
    stdin: bytes | None = accepts(kinds.CONTENT, None)
    working_dir: str | None = accepts(kinds.FOLDER, None)
    user: str | None = accepts(kinds.USER, None)
    network: bool = accepts(kinds.FLAG, default=False)
    init: bool = accepts(kinds.FLAG, default=True)
    """Whether PID 1 is an init that reaps and passes signals on, rather than the program."""
    files: dict[str, bytes] = accepts(kinds.FILES, factory=dict)
    """They appear read-only below /task."""
    artifacts: tuple[str, ...] = accepts(kinds.PATHS, ())
    """Paths below /out that are kept; with any, /out is there and can be written to."""
    limits: Limits = field(factory=Limits, kw_only=True)
    runtime: str | None = accepts(kinds.RUNTIME, None)
    """What the engine runs it with, such as runsc; None: what the worker is set to."""
    on_output_limit: str = accepts(kinds.OVERFLOW, kinds.END)
    """When a stream passes ``limits.output``: end the program, or let it go on and keep both ends of the stream."""
    retries: int = accepts(kinds.RETRIES, 0)
    labels: dict[str, str] = accepts(kinds.LABELS, factory=dict)
    keep: float | None = accepts(kinds.KEEP, None)
    """Seconds after its end that the task, its logs and its artifacts are kept, in place of KEEP_TASKS and its like."""


@frozen
class Rules:
    """What this worker grants: defaults for limits left out, ceilings for limits given (None: any), and permissions.

    ``images`` are patterns of which an image must match one, none meaning any image; ``runtimes`` those to choose from, None
    meaning any.
    """

    defaults: Limits = field(factory=Limits)
    ceilings: Limits | None = field(factory=Limits)
    network_allowed: bool = False
    root_allowed: bool = False
    retries_max: int = 10
    keep_max: float = 0.0
    """Seconds; 0: any time, also for ever."""
    files_max: int = 4 << 20
    artifact_files: int = 256
    images: tuple[str, ...] = ()
    runtimes: tuple[str, ...] | None = ()

    def waived(self) -> Self:
        """The same defaults and nothing refused: for a task that was granted what it asks for when it was started."""
        return evolve(
            self,
            ceilings=None,
            network_allowed=True,
            root_allowed=True,
            retries_max=sys.maxsize,
            keep_max=0.0,
            files_max=sys.maxsize,
            artifact_files=sys.maxsize,
            images=(),
            runtimes=None,
        )


def parse_request(task_id: str, document: Document, rules: Rules) -> Request:
    """The checked request with the rules' defaults filled in. Raises InvalidTask that names every bad field."""
    problems = _bad_id(task_id)
    given = _present(document, Request)
    limits = given.get("limits", {})
    if isinstance(limits, Mapping):
        given["limits"] = _present({**asdict(rules.defaults), **_present(limits, Limits)}, Limits)
    try:
        request = _converter(rules).structure(given, Request)
    except cattrs.BaseValidationError as error:
        problems += sentences(error, _meant)
    else:
        problems += _too_long(request)
    if problems:
        raise InvalidTask(problems)
    return request


def is_id(task_id: str) -> bool:
    """Whether an id can be part of names, labels, channels and object keys."""
    return not _bad_id(task_id)


def _bad_id(task_id: str) -> list[str]:
    try:
        kinds.ID(task_id)
    except ValueError as error:
        return [f"_id: {error}"]
    return []


def _too_long(request: Request) -> list[str]:
    """Linux counts what a program is started with together: each string with its NUL and a pointer to it."""
    variables = [f"{name}={value}" for name, value in request.env.items()]
    arguments = (*(request.entrypoint or ()), *(request.command or ()))
    command, env = _bytes(arguments), _bytes(variables)
    if command + env <= _MOST_STRINGS:
        return []
    field = "command" if command > env else "env"
    return [f"{field}: {command + env} bytes of command and env together is above the ceiling of {_MOST_STRINGS}"]


def _bytes(strings: Iterable[str]) -> int:
    return sum(len(each.encode()) + 1 + _POINTER for each in strings)


def _present(document: Document, cls: type) -> dict[str, object]:
    """Null is how many languages leave a field out."""
    known = {field.name for field in fields(cls)}
    return {name: value for name, value in document.items() if value is not None or name not in known}


def kept_until(document: Document, ended_at: datetime, most: float) -> datetime | None:
    """Until when a task is kept by its own ``keep``, at most for ``most`` seconds unless that is 0; None when it has none."""
    try:
        seconds = _granted(kinds.KEEP(document.get("keep")), most)
    except ValueError:
        return None
    return ended_at + timedelta(seconds=seconds) if seconds else _FOR_EVER


def _granted(seconds: float, most: float) -> float:
    """0 is for ever, both of the time and of the most."""
    return most if most and not 0 < seconds <= most else seconds


Refusal = Callable[[str, object, Rules], str | None]


@lru_cache(maxsize=16)
def _converter(rules: Rules) -> cattrs.Converter:
    converter = cattrs.Converter(forbid_extra_keys=True)
    for cls, refusal in ((Limits, _above_ceiling), (Request, _not_granted)):
        hooks = {name: override(struct_hook=_hook(name, what, rules, refusal)) for name, what in kinds_of(cls).items()}
        converter.register_structure_hook(cls, make_dict_structure_fn(cls, converter, **hooks))  # type: ignore[arg-type]
    return converter


def _hook(name: str, what: Kind[T], rules: Rules, refusal: Refusal) -> Callable[[object, object], T]:
    def structure(value: object, _: object) -> T:
        parsed = what(value)
        if reason := refusal(name, parsed, rules):
            raise Refused(reason)
        return parsed

    return structure


def _above_ceiling(name: str, amount: object, rules: Rules) -> str | None:
    """Why the rules do not grant a well-formed limit; None when they do."""
    ceiling = getattr(rules.ceilings, name, None)
    if ceiling is None or not isinstance(amount, int | float) or amount <= ceiling:
        return None
    show = kinds_of(Limits)[name].show
    return f"{show(amount)} is above the ceiling of {show(ceiling)}"


def _not_granted(name: str, value: object, rules: Rules) -> str | None:
    """The same of any other field."""
    match name, value:
        case "files", dict(files):
            total = sum(map(len, files.values()))
            if total > rules.files_max:
                return f"{format_size(total)} in all is above the ceiling of {format_size(rules.files_max)}"
        case "artifacts", tuple(paths) if len(paths) > rules.artifact_files:
            return f"{len(paths)} paths are above the ceiling of {rules.artifact_files}"
        case "retries", int(count) if count > rules.retries_max:
            return f"{count} is above the ceiling of {rules.retries_max}"
        case "keep", float(seconds) if seconds != _granted(seconds, rules.keep_max):
            return f"{f'{seconds:.15g}' if seconds else 'for ever'} is above the ceiling of {rules.keep_max:.15g}"
    return _forbidden(name, value, rules)


def _forbidden(name: str, value: object, rules: Rules) -> str | None:
    match name, value:
        case "image", str(image) if rules.images and not allowed(image, rules.images):
            return f"{image!r} is not allowed here; allowed are {', '.join(rules.images)}"
        case "runtime", str(runtime) if rules.runtimes is not None and runtime not in rules.runtimes:
            return f"{runtime!r} is not allowed here; allowed are {', '.join(rules.runtimes) or 'none but the default'}"
        case "network", True if not rules.network_allowed:
            return "true is not allowed here; only false is"
        case "user", str(user) if not rules.root_allowed and 0 in map(int, user.split(":")):
            return f"{user!r} is root, which is not allowed here"
    return None


def _meant(cls: type, name: str) -> str:
    """Where a field belongs that is at home elsewhere, or which one is near; empty when none is."""
    request, limits = ([field.name for field in fields(each)] for each in (Request, Limits))
    here, elsewhere = (limits, request) if cls is Limits else (request, limits)
    if name in elsewhere:
        return f"`{name}` belongs {'beside' if cls is Limits else 'into'} `limits`"
    near = get_close_matches(name, here, 1) if len(name) <= _LONGEST_NAME else []
    return f"for {shown(name)}, did you mean `{near[0]}`?" if near else ""


_FOR_EVER = datetime(9999, 12, 31, tzinfo=UTC)
_LONGEST_NAME = 40
"""Characters of a field that is compared with others: comparing takes the square of the time."""
_POINTER = 8
_MOST_STRINGS = (2 << 20) - (128 << 10)
"""Bytes: a quarter of the stack that engines give by default, 8 MiB, less what is left to the image's own variables."""
