"""The JSON Schemas of what the API takes and gives, on top of that of a task, which is taken as it is."""

from collections.abc import Mapping

from orchestrator.cause import Cause
from orchestrator.ports import Stream
from orchestrator.server.tokens import Scope
from orchestrator.task import fields as kinds
from orchestrator.task.schema import request_schema, task_schema
from orchestrator.task.validation import Schema

_TEXT: Schema = {"type": "string"}
_WHOLE: Schema = {"type": "integer"}
_FLAG: Schema = {"type": "boolean"}
_ANY: Schema = {"type": "object"}
_OWN_ID: Schema = {"anyOf": [kinds.ID.schema, {"type": "null"}], "description": f"{kinds.ID.phrase}; left out: one is made"}


def listed(item: Schema, **more: object) -> Schema:
    """An array."""
    return {"type": "array", "items": item, **more}


def composed(needed: Mapping[str, Schema], optional: Mapping[str, Schema] | None = None) -> Schema:
    """An object with these members and no others."""
    properties = {**needed, **(optional or {})}
    return {"type": "object", "properties": properties, "required": [*needed], "additionalProperties": False}


def nullable(schema: Schema) -> Schema:
    """The same, or null."""
    return {"anyOf": [schema, {"type": "null"}]}


def named(name: str) -> Schema:
    """A reference to one of the components."""
    return {"$ref": f"#/components/schemas/{name}"}


def components() -> Mapping[str, Schema]:
    """All schemas that have a name."""
    task, request = task_schema(), request_schema()
    return {
        "Task": task,
        "TaskPart": {**task, "title": "TaskPart", "description": "Some fields of a task.", "required": ["_id"]},
        "TaskRequest": {**request, "properties": {"id": _OWN_ID, **_properties(request)}},
        "Problem": composed(
            {"type": _TEXT, "title": _TEXT, "status": _WHOLE, "detail": _TEXT},
            {"errors": listed(composed({"field": _TEXT, "message": _TEXT}))},
        ),
        "Event": composed(
            {
                "task_id": _TEXT,
                "seq": _WHOLE,
                "trigger": nullable(_TEXT),
                "source": nullable(_TEXT),
                "status": _TEXT,
                "at": {"type": "string", "format": "date-time"},
                "deployment": _TEXT,
            },
            {"exit_code": nullable(_WHOLE), "cause": nullable({"enum": [*Cause]}), "message": nullable(_TEXT)},
        ),
    }


def _properties(schema: Schema) -> Mapping[str, object]:
    found = schema["properties"]
    return found if isinstance(found, Mapping) else {}


TASK = named("Task")
RETRY = composed({}, {"id": _OWN_ID})
TASKS = composed({"tasks": listed(named("TaskPart")), "next": nullable(_TEXT)})
BATCH = composed({"tasks": listed(named("TaskRequest"), maxItems=1000)})
BATCH_ANSWER = composed(
    {"tasks": listed(composed({"id": nullable(_TEXT), "status": _WHOLE}, {"task": TASK, "problem": named("Problem")}))}
)
IDS = composed({"ids": listed(_TEXT)})
METRICS = composed({"metrics": nullable(_ANY), "series": nullable(_ANY)})
ARTIFACTS = composed(
    {
        "artifacts": listed(composed({"path": _TEXT, "key": _TEXT, "bytes": _WHOLE, "sha256": _TEXT})),
        "refused": listed(composed({"path": _TEXT, "why": _TEXT})),
        "removed_at": nullable({"type": "string", "format": "date-time"}),
    }
)
WHOAMI = composed({"scope": {"enum": [*Scope]}, "name": _TEXT, "version": _TEXT, "deployment": _TEXT, "read_only": _FLAG})
_FIGURES = ("at", "window", "queue", "tasks", "rates", "wait_seconds", "run_seconds", "ends", "causes", "over_time", "workers")
STATS: Schema = {"type": "object", "properties": {name: {} for name in _FIGURES}, "required": [*_FIGURES]}
WORKERS = composed({"workers": listed(_ANY)})
HEALTH = composed({"alive": _FLAG})
READINESS = composed({"mongodb": _FLAG, "events": _FLAG})
PIECE = composed({"attempt": _WHOLE, "stream": {"enum": [*Stream]}, "offset": _WHOLE, "data": _TEXT})
