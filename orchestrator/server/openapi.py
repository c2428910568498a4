"""The OpenAPI 3.1 document, made from the table of routes."""

from collections.abc import Iterable

from orchestrator.release import version
from orchestrator.server import schemas
from orchestrator.server.parameters import Parameter
from orchestrator.server.problems import MEDIA_TYPE
from orchestrator.server.route import JSON, Answer, Route
from orchestrator.task.validation import Schema

_PROBLEM = {MEDIA_TYPE: {"schema": schemas.named("Problem")}}
_COMMON = {400: "The request is not well-formed.", 401: "There is no valid token.", 403: "The token does not allow it."}


def openapi(routes: Iterable[Route]) -> Schema:
    """The document."""
    paths: dict[str, dict[str, object]] = {}
    for route in routes:
        paths.setdefault(route.path.replace(":path}", "}"), {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {"title": "orchestrator", "version": version(), "description": _ABOUT},
        "paths": paths,
        "components": {
            "schemas": schemas.components(),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(route: Route) -> Schema:
    operation: dict[str, object] = {
        "operationId": f"{route.handler.__module__.rpartition('.')[2]}_{route.handler.__name__}",
        "summary": route.summary,
        "responses": {**_answers(route), **_problems(route)},
    }
    if route.scope is not None:
        operation |= {"security": [{"token": []}], "description": f"Scope: {route.scope}."}
    if route.parameters:
        operation["parameters"] = [*map(_parameter, route.parameters)]
    if route.body is not None:
        operation["requestBody"] = {"required": route.body_needed, "content": {JSON: {"schema": route.body}}}
    return operation


def _answers(route: Route) -> dict[str, Schema]:
    return {str(status): _response(answer) for status, answer in route.answers.items()}


def _response(answer: Answer) -> Schema:
    if answer.schema is None and answer.media_type == JSON:
        return {"description": answer.description}
    content = {} if answer.schema is None else {"schema": answer.schema}
    headers = {name: {"description": words, "schema": {"type": "string"}} for name, words in answer.headers.items()}
    told: Schema = {"description": answer.description, "content": {answer.media_type: content}}
    return {**told, "headers": headers} if headers else told


def _problems(route: Route) -> dict[str, Schema]:
    common = {} if route.scope is None else _COMMON
    told = {**common, **route.problems}
    return {
        **{str(status): {"description": words, "content": _PROBLEM} for status, words in told.items()},
        "default": {"description": "Anything else that went wrong.", "content": _PROBLEM},
    }


def _parameter(parameter: Parameter) -> Schema:
    schema = {"type": "array", "items": parameter.kind.schema} if parameter.many else parameter.kind.schema
    own = {"name": parameter.name, "in": parameter.where, "description": parameter.meaning, "schema": schema}
    return own | ({"required": True} if parameter.where == "path" or parameter.needed else {})


_ABOUT = "Hands in tasks, shows them, follows them. A task is what docs/task.schema.json says. Errors are problems by RFC 9457."
