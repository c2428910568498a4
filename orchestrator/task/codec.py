"""How a task's fields become a document and are read back: exactly, so that what is read can be compared and set."""

from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import TypeVar, get_args

import cattrs

from orchestrator.cause import Cause
from orchestrator.errors import InvalidTask
from orchestrator.task.validation import sentences, shown
from orchestrator.task.values import Document, Fields
from statemachine import State, Trigger

T = TypeVar("T")
N = TypeVar("N", int, float)


def to_document(changes: Fields) -> dict[str, object]:
    """The stored form of some of a task's fields: plain dicts, lists, strings, numbers and datetimes."""
    return {name: _codec().unstructure(value) for name, value in changes.items()}


def structured(document: Document, kind: type[T]) -> T:
    """The value that a document stands for. Raises InvalidTask with a line for each field that is not as it should be."""
    try:
        return _codec().structure(document, kind)
    except cattrs.BaseValidationError as error:
        raise InvalidTask(sentences(error)) from error


def fits(value: object, kind: object) -> bool:
    """Whether a stored value can be read as ``kind``, the type of one field."""
    try:
        _codec().structure(value, kind)  # type: ignore[arg-type]
    except (cattrs.BaseValidationError, TypeError, ValueError):
        return False
    return True


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
    codec.register_structure_hook_func(lambda kind: getattr(kind, "__origin__", None) is tuple, _rows)
    codec.register_unstructure_hook(datetime, lambda value: value)
    codec.register_unstructure_hook(StrEnum, lambda value: value.value)
    return codec


def _rows(value: object, kind: object) -> tuple[object, ...]:
    row = get_args(kind)[0]
    return tuple(_codec().structure(each, row) for each in _exactly(value, list))


def _exactly(value: object, kind: type[T]) -> T:
    """No coercion: a task read as something else than what is stored could never be compared and set."""
    if not isinstance(value, kind):
        raise ValueError(f"{shown(value)} is not of type {kind.__name__}")
    return value


def _number(value: object, kind: type[N]) -> N:
    """Numbers compare by value in the database, so 3 and 3.0 are the same one."""
    if isinstance(value, bool) or not isinstance(value, int | float) or kind(value) != value:
        raise ValueError(f"{shown(value)} is not of type {kind.__name__}")
    return kind(value)
