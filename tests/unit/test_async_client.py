"""The client for asyncio, on services in memory whose waiting is done by threads."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from orchestrator import AsyncClient, Event, Piece, Stream
from orchestrator.errors import InfrastructureError, InvalidTask, UnknownTask
from orchestrator.ports import LiveEntry
from orchestrator.testing import MemoryServices, Program
from orchestrator.testing.event_bus import MemoryEventBus
from statemachine import State

REQUEST = {"image": "busybox", "command": ["speak"]}
TEXT = b"one\ntwo\n"


class Documents:
    """Documents of the store in memory."""

    def __init__(self, services: MemoryServices) -> None:
        self._services = services
        self.closed = False

    async def find(self, task_id: str) -> Any:
        """The document, or None."""
        return self._services.store.find(task_id)

    async def close(self) -> None:
        """Note it."""
        self.closed = True


class Entries:
    """Live output in memory; the first ``failures`` times it is away."""

    def __init__(self, services: MemoryServices, failures: int = 0) -> None:
        assert isinstance(services.events, MemoryEventBus)
        self._live = services.events.live
        self._live._idle = 0.02
        self._failures = failures
        self.closed = False

    async def follow(self, deployment: str, task_id: str, *, points: bool = False) -> AsyncIterator[LiveEntry | None]:
        """As on Redis: the first thing is None."""
        yield None
        if self._failures:
            self._failures -= 1
            raise InfrastructureError("redis", "away")
        with self._live.follow(deployment, task_id, points=points) as entries:
            while True:
                yield await asyncio.to_thread(next, entries)

    async def close(self) -> None:
        """Note it."""
        self.closed = True


@pytest.fixture
def services() -> MemoryServices:
    """A worker in memory with a program that prints."""
    return MemoryServices({("speak",): Program(stdout=TEXT, stderr=b"oops", seconds=1.0)})


def _client(services: MemoryServices, failures: int = 0) -> AsyncClient:
    return AsyncClient(services.client, Documents(services), Entries(services, failures))


@pytest.mark.parametrize("failures", [0, 2])
def test_many_tasks_are_followed_by_one_loop(services: MemoryServices, failures: int) -> None:
    """Each to its end, over connections that break as well."""

    async def one(client: AsyncClient, number: int) -> tuple[bytes, bytes, list[State]]:
        await client.submit(REQUEST, f"t{number}")
        items = [item async for item in client.follow(f"t{number}")]
        texts = [b"".join(each.data for each in items if isinstance(each, Piece) and each.stream is s) for s in Stream]
        return texts[0], texts[1], [item.status for item in items if isinstance(item, Event)]

    async def all_of_them() -> list[tuple[bytes, bytes, list[State]]]:
        client = _client(services, failures)
        return await asyncio.gather(*(one(client, number) for number in range(10)))

    with services.working():
        found = asyncio.run(all_of_them())
    ends = [State.QUEUED, State.RUNNING, State.COLLECTING, State.UPLOADING, State.SUCCEEDED]
    assert found == [(TEXT, b"oops", ends)] * 10


def test_the_other_calls_are_the_clients(services: MemoryServices) -> None:
    """With its errors."""

    async def calls() -> None:
        async with _client(services) as client:
            with pytest.raises(InvalidTask):
                await client.submit({"image": "NO"})
            with pytest.raises(UnknownTask):
                await client.get("nobody")
            task = await client.submit(REQUEST, "mine")
            assert await client.list(State.QUEUED) == [task]
            await asyncio.to_thread(services.run_queued)
            assert b"".join([data async for data in client.logs("mine", "stdout", 4)]) == b"two\n"
            assert [event.seq async for event in client.watch("mine", 1)] == [2, 3, 4]
            assert await client.artifacts("mine") == ()
            with pytest.raises(UnknownTask):
                [data async for data in client.artifact("mine", "a")]
            assert (await client.cancel("mine")).status is State.SUCCEEDED
            first, *_ = [item async for item in client.follow("mine", {Stream.STDOUT: 4}, after_seq=3)]
            assert first == Piece(1, Stream.STDOUT, 4, b"two\n")

    asyncio.run(calls())


def test_a_server_that_stays_away_is_told(services: MemoryServices, monkeypatch: pytest.MonkeyPatch) -> None:
    """After RETRY_BUDGET."""

    async def follow() -> None:
        async for _ in _client(services, 1 << 30).follow("mine"):
            pass

    services.client.submit(REQUEST, "mine")
    monkeypatch.setattr(Entries, "follow", _away)
    object.__setattr__(services.settings, "retry_budget", 0.0)
    with pytest.raises(InfrastructureError, match="away"):
        asyncio.run(follow())


async def _away(*_: object, **__: object) -> AsyncIterator[LiveEntry | None]:
    raise InfrastructureError("redis", "away")
    yield None


def test_tasks_are_deleted(services: MemoryServices) -> None:
    """One or many; a task that is being deleted is not there any more."""

    async def delete() -> list[str]:
        ids = [(await client.submit(REQUEST)).id for _ in range(4)]
        await asyncio.to_thread(services.run_queued)
        await client.delete(ids[0])
        services.store.mark_deleting({ids[1]: services.store.find(ids[1])["nonce"]}, "token")
        for task_id in ids[:2]:
            with pytest.raises(UnknownTask):
                await client.get(task_id)
        return [task_id async for task_id in client.delete_all(await client.list())]

    client = _client(services)
    assert len(asyncio.run(delete())) == 2
    assert [document["_id"] for document in services.store.deleting(10)]
    assert services.client.list() == []
