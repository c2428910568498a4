"""The HTTP API on services in memory, answered on a real socket, whose worker runs what is handed in."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from attrs import define

from orchestrator.ports import LiveEntry
from orchestrator.server.backend import Backend
from orchestrator.server.serving import Listener
from orchestrator.server.tokens import Scope, Tokens, new_token
from orchestrator.task.event import Event
from orchestrator.testing import MemoryServices
from orchestrator.testing.event_bus import MemoryEventBus


class Documents:
    """Documents of the store in memory."""

    def __init__(self, services: MemoryServices) -> None:
        self._services = services

    async def find(self, task_id: str) -> Any:
        """The document, or None."""
        return self._services.store.find(task_id)

    async def close(self) -> None:
        """Nothing is open."""


class Entries:
    """Live output in memory, waited for in threads."""

    def __init__(self, services: MemoryServices) -> None:
        assert isinstance(services.events, MemoryEventBus)
        self._live = services.events.live
        self._live._idle = 0.02

    async def follow(self, deployment: str, task_id: str, *, points: bool = False) -> AsyncIterator[LiveEntry | None]:
        """As on Redis: the first thing is None."""
        yield None
        with self._live.follow(deployment, task_id, points=points) as entries:
            while True:
                yield await asyncio.to_thread(next, entries)

    async def close(self) -> None:
        """Nothing is open."""


class Feed:
    """The events of the bus in memory, waited for in a thread."""

    def __init__(self, services: MemoryServices) -> None:
        assert isinstance(services.events, MemoryEventBus)
        self._bus = services.events
        self._bus._idle = 0.02

    async def listen(self) -> AsyncIterator[Event | None]:
        """As on Redis: None once it listens."""
        with self._bus.subscribe(None) as events:
            yield None
            while True:
                event = await asyncio.to_thread(next, events)
                if event is not None:
                    yield event

    async def close(self) -> None:
        """Nothing is open."""


def backend_of(services: MemoryServices, tokens: Tokens | None = None) -> Backend:
    """What the handlers work on."""
    return Backend(services.client, Documents(services), Entries(services), Feed(services), tokens or Tokens())


def some_tokens(folder: Path) -> tuple[Tokens, Mapping[Scope, str]]:
    """One of each scope, by its name, from a file."""
    made = {scope: new_token(scope, scope) for scope in Scope}
    file = folder / "tokens"
    file.touch(mode=0o600)
    file.write_text("".join(f"{line}\n" for _, line in made.values()))
    return Tokens.load(file), {scope: token for scope, (token, _) in made.items()}


@define
class Served:
    """A server that answers: its address, its services and its backend."""

    url: str
    services: MemoryServices
    backend: Backend
    server: uvicorn.Server

    @property
    def connections(self) -> int:
        """How many there are."""
        return len(self.server.server_state.connections)

    def connect(self) -> socket.socket:
        """A bare connection to it."""
        host, port = self.url.removeprefix("http://").split(":")
        return socket.create_connection((host, int(port)), timeout=30)

    def client(self, **more: Any) -> httpx.Client:
        """A client of it."""
        return httpx.Client(base_url=self.url, timeout=30, **more)


@contextmanager
def served(services: MemoryServices, tokens: Tokens | None = None) -> Iterator[Served]:
    """A block in which it answers, from a thread of its own; who comes before it is ready waits in the socket."""
    backend = backend_of(services, tokens)
    server = Listener(backend)
    listening = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([listening])), name="HTTP server", daemon=True)
    thread.start()
    try:
        yield Served(f"http://127.0.0.1:{listening.getsockname()[1]}", services, backend, server)
    finally:
        server.should_exit = True
        thread.join(30)
        listening.close()
