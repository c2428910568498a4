"""The server with its page on services in memory, that tests fill, stop and start again at the same address.

What is answered is the application's own. ``answers`` stand in for what a test wants to be otherwise, by path.
"""

import asyncio
import hashlib
import json
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import uvicorn
from attrs import define, evolve, field
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from orchestrator.ports import Piece, Stream
from orchestrator.ports.live_output import Point
from orchestrator.server.serving import Listener
from orchestrator.server.tokens import Tokens
from orchestrator.task.document import Task
from orchestrator.task.event import Event
from orchestrator.testing import MemoryServices
from tests.support.http_server import backend_of
from tests.support.page_tasks import Story, document, task


@define
class Site:
    """The server and what it tells."""

    services: MemoryServices = field(factory=MemoryServices)
    tokens: Tokens | None = None
    answers: dict[str, Any] = field(factory=dict)
    """By path: an answer, what is answered as JSON, or a callable that makes it."""
    requested: list[str] = field(factory=list)
    """The paths that were asked for."""
    port: int = 0
    _server: uvicorn.Server | None = None
    _thread: threading.Thread | None = None
    _ends: dict[tuple[str, int, Stream], int] = field(factory=dict)

    @property
    def url(self) -> str:
        """The address of the page."""
        return f"http://127.0.0.1:{self.port}/"

    def start(self) -> None:
        """Answer, at the same port as before."""
        listening = socket.create_server(("127.0.0.1", self.port))
        self.port = listening.getsockname()[1]
        self._server = Listener(backend_of(self.services, self.tokens))
        config = self._server.config
        config.app = _Instead(config.app, self)  # type: ignore[arg-type]
        run = self._server.serve([listening])
        self._thread = threading.Thread(target=lambda: asyncio.run(run), name="page", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End all connections and answer no more."""
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self._thread.join(30)
            self._server = None

    def plant(self, story: Story) -> Task:
        """Have a task whose story is known, with its output and artifacts."""
        own = task(story)
        self.services.store.insert(document(own))
        if own.logs is not None:
            self.keep(own.logs.stdout.key, story.stdout)
            self.keep(own.logs.stderr.key, story.stderr)
        for kept in own.artifacts_stored:
            self.keep(kept.key, story.files[kept.path])
        return own

    def keep(self, key: str, content: bytes) -> None:
        """Have an object."""
        self.services.logs._objects[key] = content, hashlib.sha256(content).hexdigest()  # type: ignore[attr-defined]
        self.services.logs._modified[key] = datetime.now(UTC)  # type: ignore[attr-defined]

    def become(self, story: Story) -> None:
        """A task goes on to where this story has it, and says so."""
        own = task(story)
        before = self.services.store.find(own.id) or {}
        self.services.store._save(document(own))  # type: ignore[attr-defined]
        if own.logs is not None:
            self.keep(own.logs.stdout.key, story.stdout)
            self.keep(own.logs.stderr.key, story.stderr)
        for event in Event.all_of(own, before.get("seq", 0), self.services.deployment):
            self.services.events.publish(evolve(event, nonce=own.nonce or ""))

    def say(self, task_id: str, data: bytes, stream: Stream = Stream.STDOUT, attempt: int = 1, skip: int = 0) -> None:
        """The program of a task prints; ``skip`` bytes before that are not sent."""
        key = task_id, attempt, stream
        offset = self._ends.get(key, 0) + skip
        self._ends[key] = offset + len(data)
        piece = Piece(attempt, stream, offset, data)
        self.services.live.append(self.services.deployment, {task_id: [piece]}, 64 << 20)

    def use(self, task_id: str, point: Point) -> None:
        """The program of a task uses so much."""
        self.services.live.append(self.services.deployment, {task_id: [point]}, 64 << 20)


class _Instead:
    """Answers what a test has put in the place of the application's answers."""

    def __init__(self, app: ASGIApp, site: Site) -> None:
        self._app, self._site = app, site

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """By path."""
        path = scope.get("path", "")
        self._site.requested.append(path)
        answer = self._site.answers.get(path)
        if answer is None:
            await self._app(scope, receive, send)
            return
        found = answer() if callable(answer) and not isinstance(answer, Response) else answer
        response = found if isinstance(found, Response) else Response(json.dumps(found), media_type="application/json")
        await response(scope, receive, send)


@contextmanager
def page_site(tokens: Tokens | None = None, answers: Mapping[str, Any] | None = None) -> Iterator[Site]:
    """A block in which it answers."""
    site = Site(tokens=tokens, answers=dict(answers or {}))
    site.start()
    try:
        yield site
    finally:
        site.stop()
