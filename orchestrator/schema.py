"""The JSON Schema of the part of a task document that its owner writes, made from the kinds that check it.

It says what every worker accepts or more: ceilings, permissions, the size of all files together, files that are in each other's
way and the least amount of a size or time written as text are checked by the worker alone.
"""

from attrs import NOTHING, Attribute, Factory, fields

from orchestrator import kinds
from orchestrator.kind import Kind, Schema
from orchestrator.request import KIND, Limits, Request
from orchestrator.task import Task
from statemachine import INITIAL


def task_schema() -> dict[str, object]:
    """The schema for a document as its owner inserts it, by JSON Schema 2020-12."""
    own = {name: {} for name in _written_by_the_worker()}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Task",
        "description": _DESCRIPTION,
        "type": "object",
        "properties": {
            "_id": {"description": f"{kinds.ID.phrase}; no two tasks share one", **kinds.ID.schema},
            "status": {"description": f"{INITIAL} when inserted; from then on the worker's", "const": str(INITIAL)},
            **_properties(Request),
            **own,
        },
        "required": ["_id", "status", *_required(Request)],
        "additionalProperties": False,
    }
