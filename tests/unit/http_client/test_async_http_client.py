"""The client over HTTP for asyncio, and servers that break off in the middle."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from orchestrator import AsyncClient, Client, Event, Piece
from orchestrator.errors import InfrastructureError, SettingsError, UnknownTask
from orchestrator.http_client.asynchronous import AsyncHttpClient
from orchestrator.http_client.blocking import HttpClient
from orchestrator.http_client.wire import Api
from orchestrator.ports import Stream
from orchestrator.server.tokens import Scope
from orchestrator.testing import MemoryServices, Program
from statemachine import State
from tests.support.http_server import served, some_tokens

TEXT = b"one\ntwo\n"
SPEAK = {"image": "busybox", "command": ["speak"]}
ALL = [State.QUEUED, State.RUNNING, State.COLLECTING, State.UPLOADING, State.SUCCEEDED]


@pytest.fixture
def services() -> MemoryServices:
    """With a program that speaks."""
    return MemoryServices({("speak",): Program(stdout=TEXT, stderr=b"oops", seconds=1.0)})


def _client(url: str, token: str = "", budget: float = 10.0) -> AsyncHttpClient:
    api = Api(url, token)
    return AsyncHttpClient(HttpClient(api, budget), api, budget)


def test_many_tasks_are_followed_by_one_loop(services: MemoryServices, tmp_path: Path) -> None:
    """Each to its end; the other calls are those of the client."""
    tokens, texts = some_tokens(tmp_path)

    async def one(client: AsyncClient, number: int) -> tuple[bytes, list[State]]:
        await client.submit(SPEAK, f"t{number}")
        items = [item async for item in client.follow(f"t{number}")]
        text = b"".join(each.data for each in items if isinstance(each, Piece) and each.stream is Stream.STDOUT)
        return text, [item.status for item in items if isinstance(item, Event)]

    async def all_of_them(url: str) -> None:
        async with _client(url, texts[Scope.ADMIN]) as client:
            assert await asyncio.gather(*(one(client, number) for number in range(10))) == [(TEXT, ALL)] * 10
            assert (await client.get("t1")) == services.client.get("t1")
            assert [event.seq async for event in client.watch("t1", 2)] == [3, 4]
            rest = [item async for item in client.follow("t1", {Stream.STDOUT: 4, Stream.STDERR: 4}, after_seq=3)]
            assert rest[0] == Piece(1, Stream.STDOUT, 4, b"two\n")
            assert len(await client.list()) == 10
            assert b"".join([data async for data in client.logs("t1", "stdout", 4)]) == b"two\n"
            await client.delete("t1")
            with pytest.raises(UnknownTask):
                await client.get("t1")
            with pytest.raises(UnknownTask):
                [event async for event in client.watch("t1")]
        async with _client(url, "wrong") as stranger:
            with pytest.raises(SettingsError, match="ORCHESTRATOR_TOKEN"):
                await stranger.get("t2")

    with services.working(), served(services, tokens) as server:
        asyncio.run(all_of_them(server.url))


class Breaking:
    """Passes connections on to a server, and breaks each of the first ones off after so many bytes of its answer."""

    def __init__(self, url: str, cuts: list[int]) -> None:
        host, port = url.removeprefix("http://").split(":")
        self._server = host, int(port)
        self._cuts = cuts
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._run, daemon=True).start()

    def close(self) -> None:
        """No further ones."""
        self._listening.close()

    def _run(self) -> None:
        while True:
            try:
                near, _ = self._listening.accept()
            except OSError:
                return
            left = self._cuts.pop(0) if self._cuts else None
            threading.Thread(target=self._pass_on, args=(near, left), daemon=True).start()

    def _pass_on(self, near: socket.socket, left: int | None) -> None:
        with near, socket.create_connection(self._server) as far:
            there = threading.Thread(target=self._copy, args=(near, far, None), daemon=True)
            there.start()
            self._copy(far, near, left)
            there.join()

    @staticmethod
    def _copy(source: socket.socket, sink: socket.socket, left: int | None) -> None:
        try:
            while left is None or left > 0:
                data = source.recv(4096)[:left]
                if not data:
                    break
                sink.sendall(data)
                left = None if left is None else left - len(data)
        except OSError:
            pass
        for each in (source, sink):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


@contextmanager
def breaking(url: str, cuts: list[int]) -> Iterator[str]:
    """Its address."""
    server = Breaking(url, cuts)
    yield server.url
    server.close()


CUTS = [0, 30, 700, 900, 1200, 1500, 2500]


def test_a_stream_that_breaks_goes_on_where_it_was(services: MemoryServices) -> None:
    """Each byte and each event once."""

    async def follow(url: str) -> list[object]:
        async with _client(url) as client:
            return [item async for item in client.follow("t1")]

    services.client.submit(SPEAK, "t1")
    services.run_queued()
    whole = [*services.client.follow("t1")]
    with served(services) as server:
        with breaking(server.url, [*CUTS]) as url, HttpClient(Api(url, ""), 10.0) as client:
            assert [*client.follow("t1")] == whole
        with breaking(server.url, [*CUTS]) as url:
            assert asyncio.run(follow(url)) == whole


def test_a_download_that_breaks_goes_on_where_it_was(tmp_path: Path) -> None:
    """And what was handed in when the answer was lost is handed in once."""
    text = bytes(range(256)) * 40
    services = MemoryServices({("speak",): Program(stdout=text)})
    tokens, texts = some_tokens(tmp_path)
    with (
        served(services, tokens) as server,
        breaking(server.url, [0, 40, 700, 1000, 5000, 9000]) as url,
        HttpClient(Api(url, texts[Scope.ADMIN]), 10.0) as client,
    ):
        task = client.submit(SPEAK, "t1")
        assert len(services.run_queued()) == 1
        assert b"".join(client.logs(task.id, "stdout", 5)) == text[5:]


def test_an_api_that_stays_away_is_told() -> None:
    """After RETRY_BUDGET, with its address."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"

    async def get() -> None:
        async with _client(url, budget=0.0) as client:
            await client.get("t1")

    with HttpClient(Api(url, ""), 0.0) as client, pytest.raises(InfrastructureError, match=url):
        client.get("t1")
    with pytest.raises(InfrastructureError, match=url):
        asyncio.run(get())


def test_the_environment_chooses_for_asyncio_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As for the other client."""
    monkeypatch.chdir(tmp_path)
    for name in ("MONGO_URI", "REDIS_URL", "MINIO_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ORCHESTRATOR_URL", "http://tasks.example")

    async def chosen() -> bool:
        async with AsyncClient.from_env() as client:
            return isinstance(client, AsyncHttpClient)

    assert asyncio.run(chosen())
    assert not isinstance(Client.from_env(), AsyncClient)
