"""The JSON Schema of a task document, made from the kinds that check a request and the classes that are stored.

It accepts all that a worker accepts. Ceilings, permissions, lengths in bytes, the size of all files or strings together, files
in each other's way and the least amount of a size or time written as text are the worker's alone to check.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from types import NoneType, UnionType
from typing import get_args, get_origin

from attrs import NOTHING, fields, has

from orchestrator.task import fields as kinds
from orchestrator.task.document import Task
from orchestrator.task.fields import kinds_of
from orchestrator.task.limits import Limits
from orchestrator.task.request import Request
from orchestrator.task.validation import Kind, Schema
from statemachine import INITIAL, State


def task_schema() -> Schema:
    """By JSON Schema 2020-12. Dates are dates in the database, and text by ISO 8601 wherever a task is written as JSON."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Task",
        "description": "A task as it is stored: what its owner writes, and what the worker writes.",
        "type": "object",
        "properties": {
            "_id": _described(kinds.ID),
            "status": {**_shape(State), "description": f"{INITIAL} when the task is inserted"},
            **_written_by_the_owner(),
            **_written_by_the_worker(),
        },
        "required": ["_id", "image", "status"],
        "additionalProperties": False,
    }


def request_schema() -> Schema:
    """What the owner of a task writes, without its id."""
    return {
        "title": "TaskRequest",
        "description": "A task as its owner hands it in.",
        "type": "object",
        "properties": _written_by_the_owner(),
        "required": ["image"],
        "additionalProperties": False,
    }


def _written_by_the_owner() -> dict[str, Schema]:
    limits = {"type": "object", "properties": _optional(Limits), "additionalProperties": False}
    return {**_optional(Request), "image": _described(kinds.IMAGE), "limits": {"anyOf": [limits, _NULL]}}


def _written_by_the_worker() -> dict[str, Schema]:
    own = [field for field in fields(Task) if field.name not in {"id", "status", "request"}]
    return {field.name: {**_nullable(field.type), "description": "written by the worker"} for field in own}


def _optional(cls: type) -> dict[str, Schema]:
    return {name: {"anyOf": [kind.schema, _NULL], "description": kind.phrase} for name, kind in kinds_of(cls).items()}


def _described(kind: Kind[str]) -> Schema:
    return {**kind.schema, "description": kind.phrase}


def _shape(kind: object) -> Schema:
    """What a class is when it is written as JSON."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin is UnionType:
        return {"anyOf": [_shape(each) for each in inner]}
    if origin is tuple:
        return {"type": "array", "items": _shape(inner[0])}
    if isinstance(kind, type) and has(kind):
        return _object(kind)
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return {"enum": [each.value for each in kind]}
    return _PLAIN[origin or kind]


def _nullable(kind: object) -> Schema:
    return _shape(kind) if NoneType in get_args(kind) else {"anyOf": [_shape(kind), _NULL]}


def _object(cls: type) -> Schema:
    return {
        "type": "object",
        "properties": {field.name: _shape(field.type) for field in fields(cls)},
        "required": [field.name for field in fields(cls) if field.default is NOTHING],
        "additionalProperties": False,
    }


_NULL: Schema = {"type": "null"}
_PLAIN: Mapping[object, Schema] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    datetime: {"type": "string", "format": "date-time"},
    Mapping: {"type": "object"},
    NoneType: _NULL,
}
