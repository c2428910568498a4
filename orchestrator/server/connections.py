"""Bounds on what a client may take: the size of a body, the time for a request, and a connection that does not read."""

import asyncio
import json
import socket
from collections.abc import Container, Mapping
from http import HTTPStatus
from typing import Any

from h11 import IDLE, SEND_BODY
from starlette.requests import ClientDisconnect, Request
from uvicorn.protocols.http.h11_impl import H11Protocol

from orchestrator.server.problems import HttpError
from orchestrator.task.units import format_size

_HEAD = 10.0
"""Seconds for the line and the headers of a request, from the connection or the last answer on."""
_BODY = 20.0
"""Seconds for the rest of it, after that."""
_TOLD = 32
"""Connections above the limit that are answered with 503; one more is cut."""
_UNREAD = 30_000
"""Milliseconds after which a client that does not read is cut off."""


class Connection(H11Protocol):
    """A connection with deadlines. uvicorn has one for the time between two requests alone."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request, unless there are too many that wait."""
        super().connection_made(transport)
        if self.limit_concurrency is not None and len(self.connections) >= self.limit_concurrency + _TOLD:
            transport.abort()
            return
        own = transport.get_extra_info("socket")
        if own is not None:
            own.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # asyncio does so only where the protocol is named
            own.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNREAD)
        self._await_request()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._cancel()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """Begin to wait for the next one."""
        super().on_response_complete()
        self._await_request()

    def _await_request(self) -> None:
        self._cancel()
        self._deadline = self.loop.call_later(_HEAD, self._await_body)

    def _await_body(self) -> None:
        self._cut_in({IDLE})
        self._deadline = self.loop.call_later(_BODY, self._cut_in, {IDLE, SEND_BODY})

    def _cut_in(self, states: Container[object]) -> None:
        if self.conn.their_state in states:
            self.transport.abort()

    def _cancel(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()


async def json_object(request: Request, most: int) -> dict[str, Any]:
    """The JSON object that a request has. Raises HttpError."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise HttpError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Content-Type: only application/json is read here")
    given = _parsed(await _body(request, most))
    if not isinstance(given, dict):
        raise HttpError(HTTPStatus.BAD_REQUEST, "the body is not a JSON object")
    return given


async def until_gone(request: Request) -> None:
    """Wait until the client has closed the connection. Its body was read before."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _body(request: Request, most: int) -> bytes:
    length = request.headers.get("content-length", "0")
    if length.isdecimal() and int(length) > most:
        raise _too_large(most)
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > most:
                raise _too_large(most)
    except ClientDisconnect:
        raise HttpError(HTTPStatus.BAD_REQUEST, "the body is not whole") from None
    return bytes(body)


def _too_large(most: int) -> HttpError:
    words = f"the body is above the ceiling of {format_size(most)} that API_BODY_MAX sets"
    return HttpError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, words, headers={"Connection": "close"})


def _parsed(body: bytes) -> object:
    """Raises HttpError. NaN and its like are no JSON, though Python reads them."""
    try:
        return json.loads(body, parse_constant=_refuse, object_pairs_hook=_once)
    except RecursionError:
        raise HttpError(HTTPStatus.BAD_REQUEST, "the body is nested too deeply") from None
    except ValueError as error:
        raise HttpError(HTTPStatus.BAD_REQUEST, f"the body is not JSON: {error}") from None


def _refuse(word: str) -> None:
    raise ValueError(f"{word} is no number there")


def _once(pairs: list[tuple[str, object]]) -> Mapping[str, object]:
    """Of a name that is given twice nobody knows which one was meant."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name is given twice in one object")
    return found
