"""The part of a task document that its owner writes, checked: every bad field is named at once."""

import sys
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from functools import lru_cache, partial
from math import inf
from typing import Self, TypeVar

import cattrs
from attrs import NOTHING, asdict, evolve, field, fields, frozen
from cattrs.gen import make_dict_structure_fn, override

from orchestrator.errors import InvalidTask
from orchestrator.task import fields as kinds
from orchestrator.task.image_policy import allowed
from orchestrator.task.units import format_size
from orchestrator.task.validation import Kind, Refused, shown
from orchestrator.task.values import Document

T = TypeVar("T")
KIND = "kind"


def _accepts(what: Kind[T], default: object = NOTHING, factory: Callable[[], T] | None = None) -> T:
    given = {"factory": factory} if factory else {"default": default}
    return field(**given, metadata={KIND: what}, kw_only=True)  # type: ignore[no-any-return]


@frozen
class Limits:
    """What a task may use. memory, output (each stream), tmp and artifacts (/out) in bytes, timeout in seconds of wall time.

    ``cpu_time`` is in seconds of CPU over all processes together; None: as much as it gets in its wall time.
    """

    cpus: float = _accepts(kinds.CPUS, 1.0)
    memory: int = _accepts(kinds.size(6 << 20), 256 << 20)
    pids: int = _accepts(kinds.PIDS, 128)
    timeout: float = _accepts(kinds.SECONDS, 60.0)
    output: int = _accepts(kinds.size(0), 10 << 20)
    tmp: int = _accepts(kinds.size(4096), 64 << 20)
    cpu_time: float | None = _accepts(kinds.SECONDS, None)
    artifacts: int = _accepts(kinds.size(4096), 64 << 20)
    shm: int = _accepts(kinds.size(4096), 64 << 20)
    """Size of /dev/shm, which is never more than the memory."""


@frozen
class Request:
    """What to run. ``command`` None is the image's own; ``files`` appear read-only below /task.

    ``artifacts`` are paths below /out that are kept; with any, /out is there and can be written to.

    ``on_output_limit`` says what happens when a stream passes ``limits.output``: the program is ended, or it goes on and of the
    stream both ends are kept. ``runtime`` names what the engine runs it with, such as runsc; None: what the worker is set to.
    """

    image: str = _accepts(kinds.IMAGE)
    command: tuple[str, ...] | None = _accepts(kinds.COMMAND, None)
    entrypoint: tuple[str, ...] | None = _accepts(kinds.ENTRYPOINT, None)
    """In place of the image's; empty: the command is the whole program."""
    env: dict[str, str] = _accepts(kinds.ENV, factory=dict)
    stdin: bytes | None = _accepts(kinds.CONTENT, None)
    working_dir: str | None = _accepts(kinds.FOLDER, None)
    user: str | None = _accepts(kinds.USER, None)
    network: bool = _accepts(kinds.FLAG, default=False)
    init: bool = _accepts(kinds.FLAG, default=True)
    """Whether PID 1 is an init that reaps and passes signals on, rather than the program."""
    files: dict[str, bytes] = _accepts(kinds.FILES, factory=dict)
    artifacts: tuple[str, ...] = _accepts(kinds.PATHS, ())
    limits: Limits = field(factory=Limits, kw_only=True)
    runtime: str | None = _accepts(kinds.RUNTIME, None)
    on_output_limit: str = _accepts(kinds.OVERFLOW, kinds.END)
    retries: int = _accepts(kinds.RETRIES, 0)
    labels: dict[str, str] = _accepts(kinds.LABELS, factory=dict)


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
        problems += [_sentence(line) for line in cattrs.transform_error(error, path="", format_exception=_reason)]
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
    command, env = (sum(len(each.encode()) + 1 + _POINTER for each in given) for given in (arguments, variables))
    if command + env <= _MOST_STRINGS:
        return []
    field = "command" if command > env else "env"
    return [f"{field}: {command + env} bytes of command and env together is above the ceiling of {_MOST_STRINGS}"]


def _present(document: Document, cls: type) -> dict[str, object]:
    """Null is how many languages leave a field out."""
    known = {field.name for field in fields(cls)}
    return {name: value for name, value in document.items() if value is not None or name not in known}


def kinds_of(cls: type) -> dict[str, Kind[object]]:
    """The fields of Limits or Request that carry a kind, by name."""
    return {attribute.name: attribute.metadata[KIND] for attribute in fields(cls) if KIND in attribute.metadata}


@lru_cache(maxsize=16)
def _converter(rules: Rules) -> cattrs.Converter:
    converter = cattrs.Converter(forbid_extra_keys=True)
    for cls in (Limits, Request):
        hooks = {name: override(struct_hook=_hook(name, what, rules)) for name, what in kinds_of(cls).items()}
        converter.register_structure_hook(cls, make_dict_structure_fn(cls, converter, **hooks))  # type: ignore[arg-type]
    return converter


def _hook(name: str, what: Kind[T], rules: Rules) -> Callable[[object, object], T]:
    def structure(value: object, _: object) -> T:
        parsed = what(value)
        if refusal := _refusal(name, parsed, rules):
            raise Refused(refusal)
        return parsed

    return structure


def _refusal(name: str, value: object, rules: Rules) -> str | None:
    """Why the rules do not grant a well-formed value; None when they do."""
    match name, value:
        case "files", dict(files) if (total := sum(map(len, files.values()))) > rules.files_max:
            return f"{format_size(total)} in all is above the ceiling of {format_size(rules.files_max)}"
        case "artifacts", tuple(paths) if len(paths) > rules.artifact_files:
            return f"{len(paths)} paths are above the ceiling of {rules.artifact_files}"
        case "retries", int(count) if count > rules.retries_max:
            return f"{count} is above the ceiling of {rules.retries_max}"
        case _, int(amount) | float(amount) if amount > (ceiling := _ceiling(name, rules)):
            return f"{_amount(name, amount)} is above the ceiling of {_amount(name, ceiling)}"
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


def _ceiling(name: str, rules: Rules) -> float:
    ceiling = getattr(rules.ceilings, name, None)
    return inf if ceiling is None else float(ceiling)


def _amount(name: str, value: float) -> str:
    return format_size(value) if name in {"memory", "output", "tmp", "artifacts", "shm"} else f"{value:.15g}"


def _reason(error: BaseException, _: type | None) -> str:
    if isinstance(error, KeyError):
        return "is missing"
    if isinstance(error, cattrs.ForbiddenExtraKeysError):
        unknown, allowed = sorted(map(shown, error.extra_fields)), [field.name for field in fields(error.cl)]
        more = f" and {len(unknown) - _NAMED} more" if len(unknown) > _NAMED else ""
        hints = "".join(
            f"; {hint}" for hint in map(partial(_meant, error.cl), sorted(map(str, error.extra_fields))[:_NAMED]) if hint
        )
        return f"has unknown fields {', '.join(unknown[:_NAMED])}{more}{hints}; allowed are {', '.join(allowed)}"
    if isinstance(error, ValueError):
        return str(error)
    return "is not a map"


def _meant(cls: type, name: str) -> str:
    """Where a field belongs that is at home elsewhere, or which one is near; empty when none is."""
    request, limits = ([field.name for field in fields(each)] for each in (Request, Limits))
    here, elsewhere = (limits, request) if cls is Limits else (request, limits)
    if name in elsewhere:
        return f"`{name}` belongs {'beside' if cls is Limits else 'into'} `limits`"
    near = get_close_matches(name, here, 1) if len(name) <= _LONGEST_NAME else []
    return f"for {shown(name)}, did you mean `{near[0]}`?" if near else ""


def _sentence(line: str) -> str:
    """A line of cattrs ends with ``@ <path>``; people read the path first."""
    reason, _, path = line.rpartition(" @ ")
    return f"{path.lstrip('.') or 'task'}: {reason}"


_NAMED = 10
_LONGEST_NAME = 40
"""Characters of a field that is compared with others: comparing takes the square of the time."""
_POINTER = 8
_MOST_STRINGS = (2 << 20) - (128 << 10)
"""Bytes: a quarter of the stack that engines give by default, 8 MiB, less what is left to the image's own variables."""
