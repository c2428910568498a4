"""A stream on which little happens: its comments say that the API is there."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from types import SimpleNamespace

import pytest

from orchestrator.http_client import asynchronous, blocking
from orchestrator.http_client.asynchronous import AsyncHttpClient
from orchestrator.http_client.blocking import HttpClient
from orchestrator.http_client.wire import Api

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
LATER = 3600.0


class Clock:
    """It stands still until it is set."""

    now = 0.0

    def monotonic(self) -> float:
        """What it shows."""
        return self.now

    def sleep(self, _: float) -> None:
        """Not at all."""


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """That of both clients."""
    clock = Clock()
    for module in (blocking, asynchronous):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=clock.monotonic, sleep=clock.sleep))
    return clock


@pytest.fixture
def url(clock: Clock) -> Iterator[str]:
    """Of a server whose first answer is a comment after a long time, and breaks off; the second one is the end."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        threading.Thread(target=_answer, args=(listening, clock), daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def _answer(listening: socket.socket, clock: Clock) -> None:
    for text in (b": ping\n\n", b"event: end\ndata: {}\n\n"):
        near, _ = listening.accept()
        with near:
            near.recv(4096)
            near.sendall(HEAD)
            clock.now = LATER
            near.sendall(b"%x\r\n%s\r\n" % (len(text), text))


def test_comments_keep_a_stream_alive(url: str) -> None:
    """When it breaks after more than RETRY_BUDGET, it is sought again."""
    with HttpClient(Api(url, ""), 10.0) as client:
        assert [*client.watch("t1")] == []


def test_comments_keep_a_stream_of_asyncio_alive(url: str) -> None:
    """As those of the other client."""

    async def watch() -> list[object]:
        api = Api(url, "")
        client = AsyncHttpClient(HttpClient(api, 10.0), api, 10.0)
        found = [event async for event in client.watch("t1")]
        await client.close()
        return found

    assert asyncio.run(watch()) == []
