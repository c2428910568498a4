"""What a route is. One table of them makes both the application and the OpenAPI document."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from attrs import field, frozen
from starlette.requests import Request
from starlette.responses import Response

from orchestrator.server.backend import Backend
from orchestrator.server.parameters import Parameter
from orchestrator.server.tokens import Caller, Scope
from orchestrator.task.plain import as_json
from orchestrator.task.validation import Schema

JSON = "application/json"


@frozen
class Call:
    """One request: who asks, and its parameters as they were read."""

    backend: Backend
    request: Request
    caller: Caller
    given: Mapping[str, Any]


@frozen
class Answer:
    """What is answered with a status; without a schema there is no body, or one of bytes."""

    description: str
    schema: Schema | None = None
    media_type: str = JSON
    headers: Mapping[str, str] = field(factory=dict)
    """What headers of its own mean."""


@frozen
class Route:
    """``scope`` None: open to all who reach the server. ``body`` is the schema of what is sent."""

    method: str
    path: str
    handler: Callable[[Call], Awaitable[Response]]
    scope: Scope | None
    summary: str
    answers: Mapping[int, Answer]
    parameters: tuple[Parameter, ...] = ()
    body: Schema | None = None
    problems: Mapping[int, str] = field(factory=dict)
    """What further statuses mean."""
    body_needed: bool = True


def json_answer(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """An answer in JSON."""
    return Response(as_json(value, indent=None), status, dict(headers or {}), JSON)
