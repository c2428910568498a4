"""The application: the routes of the table, and what is true for each answer."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from functools import cache
from http import HTTPStatus
from pathlib import Path

from sse_starlette.sse import SendTimeoutError
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route as Endpoint
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orchestrator.errors import OrchestratorError
from orchestrator.server import page, parameters
from orchestrator.server.backend import Backend
from orchestrator.server.docs_page import docs_page
from orchestrator.server.events import Cut, running
from orchestrator.server.gate import admit, readmit
from orchestrator.server.openapi import openapi
from orchestrator.server.problems import Problem, problem_of
from orchestrator.server.revoking import Watched, kept_current
from orchestrator.server.route import Call, Route, json_answer
from orchestrator.server.routes import ROUTES

_ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_UNLESS_SET = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "Cache-Control": "no-store",
}


def application(backend: Backend) -> Starlette:
    """The whole of it."""
    folder = page.FOLDER

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with running(backend.broadcast), kept_current(backend.tokens):
            yield
        await backend.close()

    return Starlette(
        routes=[*_endpoints(backend), *_own(backend, folder), *page.files(folder)],
        middleware=[Middleware(Answers)],
        exception_handlers={
            OrchestratorError: _refused,
            HTTPException: _not_found,
            Exception: _failed,
        },
        lifespan=lifespan,
    )


def _endpoints(backend: Backend) -> list[Endpoint]:
    """One for each path, so that a wrong method is told all that there are."""
    paths: dict[str, dict[str, Route]] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method] = route
    return [Endpoint(path, _endpoint(backend, routes), methods=[*routes]) for path, routes in paths.items()]


def _endpoint(backend: Backend, routes: Mapping[str, Route]) -> Callable[[Request], object]:
    async def endpoint(request: Request) -> Response | Watched:
        route = routes["GET" if request.method == "HEAD" else request.method]
        caller = admit(request, backend.tokens, route.scope)
        answer = await route.handler(Call(backend, request, caller, parameters.read(route.parameters, request)))
        if route.scope is None:
            return answer
        readmit(caller, backend.tokens)
        return Watched(answer, caller, backend.tokens)

    return endpoint


def _own(backend: Backend, folder: Path) -> Sequence[Endpoint]:
    """What is for people, or describes the rest; the same for all is made once."""
    describe, explain = cache(lambda: json_answer(openapi(ROUTES))), cache(lambda: docs_page(ROUTES))

    async def entrance(request: Request) -> Response:
        return page.entrance(request, backend.tokens, folder)

    async def document(_: Request) -> Response:
        return describe()

    async def docs(_: Request) -> Response:
        return explain()

    return [Endpoint("/", entrance), Endpoint("/openapi.json", document), Endpoint("/docs", docs)]


async def _refused(_: Request, error: Exception) -> Response:
    if not isinstance(error, OrchestratorError):
        raise error
    return problem_of(error).response()


async def _not_found(_: Request, error: Exception) -> Response:
    """A path or a method that there is not."""
    if not isinstance(error, HTTPException):
        raise error
    status = HTTPStatus(error.status_code)
    return Problem(
        status, f"{status.description or status.phrase}; /docs says what there is", headers=error.headers or {}
    ).response()


async def _failed(_: Request, __: Exception) -> Response:
    """Told from outside of ``Answers``, so it has the headers of its own."""
    words = "the request failed; the log of the server says why"
    return Problem(HTTPStatus.INTERNAL_SERVER_ERROR, words, headers={**_ALWAYS, **_UNLESS_SET}).response()


class Answers:
    """Has every answer say that it is what its type says, and is shown nowhere else; one that is cut is left as it is."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, and add the headers."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(_ALWAYS)
                for name, value in _UNLESS_SET.items():
                    headers.setdefault(name, value)
            await send(message)

        with suppress(Cut, SendTimeoutError):
            await self._app(scope, receive, with_headers)
