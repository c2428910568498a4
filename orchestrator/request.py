"""The part of a task document that its owner writes, checked: every bad field is named at once."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import TypeVar

import cattrs
from attrs import NOTHING, asdict, field, fields, frozen
from cattrs.gen import make_dict_structure_fn, override

from orchestrator import kind
from orchestrator.errors import InvalidTask
from orchestrator.kind import Kind
from orchestrator.quantity import format_size
from orchestrator.task import Document

T = TypeVar("T")
KIND = "kind"


def _accepts(what: Kind[T], default: object = NOTHING, factory: Callable[[], T] | None = None) -> T:
    given = {"factory": factory} if factory else {"default": default}
    return field(**given, metadata={KIND: what}, kw_only=True)  # type: ignore[no-any-return]


@frozen
class Limits:
    """What a task may use. memory, output (each stream) and tmp in bytes, timeout in seconds of wall time."""

    cpus: float = _accepts(kind.CPUS, 1.0)
    memory: int = _accepts(kind.size(6 << 20), 256 << 20)
    pids: int = _accepts(kind.PIDS, 128)
    timeout: float = _accepts(kind.SECONDS, 60.0)
    output: int = _accepts(kind.size(0), 10 << 20)
    tmp: int = _accepts(kind.size(4096), 64 << 20)


@frozen
class Request:
    """What to run. ``command`` None is the image's own; ``files`` appear read-only below /task."""

    image: str = _accepts(kind.IMAGE)
    command: tuple[str, ...] | None = _accepts(kind.COMMAND, None)
    env: dict[str, str] = _accepts(kind.ENV, factory=dict)
    stdin: bytes | None = _accepts(kind.CONTENT, None)
    working_dir: str | None = _accepts(kind.FOLDER, None)
    user: str | None = _accepts(kind.USER, None)
    network: bool = _accepts(kind.FLAG, default=False)
    files: dict[str, bytes] = _accepts(kind.FILES, factory=dict)
    limits: Limits = field(factory=Limits, kw_only=True)
    labels: dict[str, str] = _accepts(kind.LABELS, factory=dict)


@frozen
class Rules:
    """What this worker grants: defaults for limits left out, ceilings for limits given, and permissions."""

    defaults: Limits = field(factory=Limits)
    ceilings: Limits = field(factory=Limits)
    network_allowed: bool = False
    root_allowed: bool = False
    files_max: int = 4 << 20


def parse_request(task_id: str, document: Document, rules: Rules) -> Request:
    """The checked request with the rules' defaults filled in. Raises InvalidTask that names every bad field."""
    given = {name: value for name, value in document.items() if value is not None}
    problems = [f"_id: {task_id!r} is not {kind.ID.phrase}"] if not _is_id(task_id) else []
    try:
        limits = given.get("limits", {})
        if isinstance(limits, Mapping):
            granted = {name: value for name, value in limits.items() if value is not None}
            given["limits"] = asdict(rules.defaults) | granted
        request = _converter().structure(given, Request)
    except cattrs.BaseValidationError as error:
        problems += [_sentence(line) for line in cattrs.transform_error(error, path="", format_exception=_reason)]
        raise InvalidTask(problems) from error
    problems += _beyond(request, rules)
    if problems:
        raise InvalidTask(problems)
    return request


def _is_id(task_id: str) -> bool:
    try:
        kind.ID(task_id)
    except ValueError:
        return False
    return True


def _beyond(request: Request, rules: Rules) -> list[str]:
    """Where a well-formed request asks for more than the rules grant."""
    ceilings = asdict(rules.ceilings)
    problems = [
        f"limits.{name}: {_amount(name, value)} is above the ceiling of {_amount(name, ceilings[name])}"
        for name, value in asdict(request.limits).items()
        if value > ceilings[name]
    ]
    if request.network and not rules.network_allowed:
        problems.append("network: true is not allowed here; only false is")
    if not rules.root_allowed and request.user and 0 in map(int, request.user.split(":")):
        problems.append(f"user: {request.user!r} is root, which is not allowed here")
    total = sum(map(len, request.files.values()))
    if total > rules.files_max:
        problems.append(f"files: {format_size(total)} in all is above the ceiling of {format_size(rules.files_max)}")
    return problems


def _amount(name: str, value: float) -> str:
    return format_size(value) if name in {"memory", "output", "tmp"} else f"{value:g}"


def kinds(cls: type) -> dict[str, Kind[object]]:
    """The fields of Limits or Request that carry a kind, by name."""
    return {attribute.name: attribute.metadata[KIND] for attribute in fields(cls) if KIND in attribute.metadata}


@cache
def _converter() -> cattrs.Converter:
    converter = cattrs.Converter(forbid_extra_keys=True)
    for cls in (Limits, Request):
        hooks = {name: override(struct_hook=_hook(what)) for name, what in kinds(cls).items()}
        converter.register_structure_hook(cls, make_dict_structure_fn(cls, converter, **hooks))  # type: ignore[arg-type]
    return converter


def _hook(what: Kind[T]) -> Callable[[object, object], T]:
    return lambda value, _: what(value)


def _reason(error: BaseException, _: type | None) -> str:
    if isinstance(error, KeyError):
        return "is missing"
    if isinstance(error, cattrs.ForbiddenExtraKeysError):
        unknown, allowed = sorted(map(str, error.extra_fields)), [field.name for field in fields(error.cl)]
        return f"has unknown fields {', '.join(map(repr, unknown))}; allowed are {', '.join(allowed)}"
    if isinstance(error, ValueError):
        return str(error)
    return "is not a map"


def _sentence(line: str) -> str:
    """A line of cattrs ends each line with ``@ <path>``; people read the path first."""
    reason, _, path = line.rpartition(" @ ")
    return f"{path.lstrip('.') or 'task'}: {reason}"
