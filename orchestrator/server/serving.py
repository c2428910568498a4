"""Serves the application: the socket, the connections, and the real services behind it."""

import asyncio
import socket
from pathlib import Path

import uvicorn

from orchestrator.adapters.mongo.task_store import AsyncDocuments
from orchestrator.adapters.redis.event_bus import AsyncRedisEvents
from orchestrator.adapters.redis.shared_live_output import SharedLiveOutput
from orchestrator.client import Client
from orchestrator.errors import SettingsError
from orchestrator.log import logger
from orchestrator.server import page
from orchestrator.server.app import application
from orchestrator.server.backend import Backend
from orchestrator.server.connections import Connection
from orchestrator.server.origin import is_loopback
from orchestrator.server.tokens import Tokens, session_key
from orchestrator.settings.settings import Settings
from orchestrator.wiring import Server, connect

_USED = frozenset({Server.MONGODB, Server.REDIS, Server.S3})
_GRACE = 5
"""Seconds in which running answers may end when it is told to stop."""
_HEADERS = 32 << 10
"""Most bytes of a request's line and headers."""


def serve(settings: Settings, fd: int | None = None) -> None:
    """Answer until told to stop, at the socket ``fd`` if it is given.

    Raises SettingsError when that cannot be done safely, or the port is taken.
    """
    tokens = Tokens.load(Path(settings.api_tokens), session_key(settings)) if settings.api_tokens else Tokens()
    if not tokens.are_needed and not is_loopback(settings.api_host):
        raise SettingsError(f"API_HOST: {settings.api_host} is reached from other hosts, which needs API_TOKENS")
    _expect_both(settings)
    listening = _socket(settings.api_host, settings.api_port) if fd is None else socket.socket(fileno=fd)
    host, port = listening.getsockname()[:2]
    scheme = "https" if settings.api_tls_cert else "http"
    logger.info("the HTTP API is at {}://{}:{}", scheme, f"[{host}]" if ":" in host else host, port)
    if not page.is_built(page.FOLDER):
        logger.warning("there is no web page: this installation was made where `make page` had not built it")
    asyncio.run(_serve(settings, tokens, listening))


async def _serve(settings: Settings, tokens: Tokens, listening: socket.socket) -> None:
    backend = Backend(
        Client(connect(settings, _USED)),
        AsyncDocuments(settings),
        SharedLiveOutput(settings),
        AsyncRedisEvents(settings),
        tokens,
    )
    await Listener(backend).serve(sockets=[listening])


class Listener(uvicorn.Server):
    """A server that tells those who wait, as soon as it is to stop."""

    def __init__(self, backend: Backend) -> None:
        super().__init__(_configured(backend))
        self._backend = backend

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End what would not end by itself, then all."""
        self._backend.broadcast.stop()
        await super().shutdown(sockets)


def _configured(backend: Backend) -> uvicorn.Config:
    """The server's part: bounds, TLS, no log of requests, and no trust in headers of a proxy."""
    settings = backend.settings
    return uvicorn.Config(
        application(backend),
        http=Connection,
        ws="none",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=settings.api_connections + 1,
        timeout_graceful_shutdown=_GRACE,
        h11_max_incomplete_event_size=_HEADERS,
        ssl_certfile=settings.api_tls_cert or None,
        ssl_keyfile=settings.api_tls_key or None,
    )


def _expect_both(settings: Settings) -> None:
    given = {"API_TLS_CERT": settings.api_tls_cert, "API_TLS_KEY": settings.api_tls_key}
    absent = [name for name, path in given.items() if not path]
    if len(absent) == 1:
        raise SettingsError(f"{absent[0]}: is not set; TLS needs both API_TLS_CERT and API_TLS_KEY")
    for name, path in given.items():
        if path and not Path(path).is_file():
            raise SettingsError(f"{name}: there is no file {path}")


def _socket(host: str, port: int) -> socket.socket:
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family, backlog=512)
    except OSError as error:
        why = error.strerror or str(error)
        raise SettingsError(f"API_HOST, API_PORT: nothing can be served on {host}:{port}: {why}") from None
