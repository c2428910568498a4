"""Tasks as programs read them: the document of a task, and any value as JSON."""

import base64
import json
from datetime import datetime

from attrs import fields_dict

from orchestrator.task.codec import to_document
from orchestrator.task.document import Task


def document(task: Task) -> dict[str, object]:
    """The document of a task as it is stored."""
    own = {name: getattr(task, name) for name in fields_dict(Task) if name not in {"id", "request"}}
    return {"_id": task.id, **task.request, **to_document(own)}


def as_json(value: object, indent: int | None = 2) -> str:
    """JSON with times in ISO 8601 and bytes as ``{"base64": …}``; without ``indent`` on one line."""
    return json.dumps(value, indent=indent, default=_plain_value)


def _plain_value(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds")
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode()}
    return str(value)
