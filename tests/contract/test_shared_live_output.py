"""Many followers of output on one connection of Redis: each is given all, in order and once, however late or slow it is."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing

import pytest
from attrs import evolve

from orchestrator.adapters.redis import shared_live_output
from orchestrator.adapters.redis.client import redis_client
from orchestrator.adapters.redis.live_output import RedisLiveOutput, ends_key, live_key
from orchestrator.adapters.redis.shared_live_output import SharedLiveOutput
from orchestrator.errors import InfrastructureError
from orchestrator.ports import LiveEntry, Piece, Point, Stream
from orchestrator.settings.settings import Settings
from tests.support.worker_process import until

OURS = "ours"
LIMIT = 1 << 20
PIECES = [Piece(1, Stream.STDOUT, number, b"x") for number in range(300)]
END = Piece(1, Stream.STDERR, 0, b"end")


async def _seen(live: SharedLiveOutput, task_id: str, begun: Callable[[], None] = lambda: None) -> list[LiveEntry]:
    """All entries to the last one; ``begun`` is called once it follows."""
    found: list[LiveEntry] = []
    async with aclosing(live.follow(OURS, task_id)) as entries:
        async for entry in entries:
            if entry is None:
                begun()
            else:
                found.append(entry)
            if entry == END:
                return found
    raise AssertionError("it ended")


def _run(settings: Settings, script: Callable[[SharedLiveOutput], object], idle: float = 10.0) -> None:
    async def run() -> None:
        live = SharedLiveOutput(settings, idle)
        try:
            await script(live)  # type: ignore[misc]
        finally:
            await live.close()

    asyncio.run(run())


def test_all_followers_see_all(settings: Settings) -> None:
    """Of several tasks, those that come when half of it is there, too; when nobody follows, nothing is read."""
    writer = RedisLiveOutput(settings)

    async def script(live: SharedLiveOutput) -> None:
        early = [asyncio.create_task(_seen(live, task_id)) for task_id in ("a", "b") * 5]
        for number in range(0, 300, 30):
            pieces = dict.fromkeys(("a", "b"), PIECES[number : number + 30])
            await asyncio.to_thread(writer.append, OURS, pieces, LIMIT)
        late = [asyncio.create_task(_seen(live, task_id)) for task_id in ("a", "b")]
        await asyncio.to_thread(writer.append, OURS, {"a": [END], "b": [END]}, LIMIT)
        assert await asyncio.gather(*early, *late) == [[*PIECES, END]] * 12
        assert (live._places, live._followers) == ({}, {})
        assert await _seen(live, "a") == [*PIECES, END]

    _run(settings, script)


def test_what_a_program_uses_is_followed_by_those_who_ask(settings: Settings) -> None:
    """Beside its output."""
    writer = RedisLiveOutput(settings)
    point = Point(1, 2.0, 50.0, 1 << 20, 3)

    async def script(live: SharedLiveOutput) -> None:
        await asyncio.to_thread(writer.append, OURS, {"t1": [point]}, LIMIT)
        async with aclosing(live.follow(OURS, "t1", points=True)) as entries:
            assert await _first(entries) == point
            plain = asyncio.create_task(_seen(live, "t1"))
            await asyncio.to_thread(writer.append, OURS, {"t1": [evolve(point, t=3.0)]}, LIMIT)
            assert await _first(entries) == evolve(point, t=3.0)
            await asyncio.to_thread(writer.append, OURS, {"t1": [END]}, LIMIT)
            assert (await _first(entries), await plain) == (END, [END])

    _run(settings, script)


def test_nothing_comes_after_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    """There may be room again before the follower has read what did not fit."""
    monkeypatch.setattr(shared_live_output, "_QUEUED", 2)

    async def script() -> None:
        follower = shared_live_output._Follower()
        for number in range(3):
            follower.tell((b"key", b"%d-0" % number, None))
        assert follower.queue.get_nowait() == (b"key", b"0-0", None)
        follower.tell((b"key", b"3-0", None))
        assert follower.queue.get_nowait() == (b"key", b"1-0", None)
        assert follower.queue.empty()
        follower.begin()
        follower.tell((b"key", b"4-0", None))
        assert not follower.queue.empty()

    asyncio.run(script())


def test_a_slow_follower_reads_what_did_not_fit(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """It holds nobody up, and misses nothing."""
    monkeypatch.setattr(shared_live_output, "_QUEUED", 4)
    writer = RedisLiveOutput(settings)

    async def slowly(entries: AsyncIterator[LiveEntry | None], go_on: asyncio.Event) -> list[LiveEntry]:
        found = []
        async for entry in entries:
            if entry is not None:
                found.append(entry)
                await go_on.wait()
            if entry == END:
                return found
        raise AssertionError("it ended")

    async def script(live: SharedLiveOutput) -> None:
        go_on = asyncio.Event()
        async with aclosing(live.follow(OURS, "t1")) as entries:
            assert await anext(entries) is None
            slow = asyncio.create_task(slowly(entries, go_on))
            quick = asyncio.create_task(_seen(live, "t1"))
            for number in range(0, 300, 30):
                await asyncio.to_thread(writer.append, OURS, {"t1": PIECES[number : number + 30]}, LIMIT)
            await asyncio.to_thread(writer.append, OURS, {"t1": [END]}, LIMIT)
            assert await quick == [*PIECES, END]
            go_on.set()
            assert await slow == [*PIECES, END]

    _run(settings, script)


def test_a_redis_that_came_back_empty_is_told_again(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """So what comes then is seen; and when nothing comes a follower is given None."""
    monkeypatch.setattr(shared_live_output, "_OPENED", 0.0)
    writer = RedisLiveOutput(settings)

    async def script(live: SharedLiveOutput) -> None:
        async with aclosing(live.follow(OURS, "t1")) as entries:
            assert await anext(entries) is None
            with redis_client(settings) as redis:
                redis.delete(live_key(OURS, "t1"), ends_key(OURS, "t1"))
                assert await anext(entries) is None
                await asyncio.to_thread(until, lambda: redis.exists(live_key(OURS, "t1")))
            await asyncio.to_thread(writer.append, OURS, {"t1": [END]}, LIMIT)
            assert await _first(entries) == END

    _run(settings, script, idle=0.05)


async def _first(entries: AsyncIterator[LiveEntry | None]) -> LiveEntry:
    async for entry in entries:
        if entry is not None:
            return entry
    raise AssertionError("it ended")


def test_a_lost_connection_is_told_to_all(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each begins again by itself."""

    async def script(live: SharedLiveOutput) -> None:
        async with aclosing(live.follow(OURS, "a")) as one, aclosing(live.follow(OURS, "b")) as other:
            assert (await anext(one), await anext(other)) == (None, None)
            monkeypatch.setattr(live, "_read", _away)
            for entries in (one, other):
                with pytest.raises(InfrastructureError, match="away"):
                    await anext(entries)

    _run(settings, script)


async def _away(*_: object) -> None:
    raise InfrastructureError("redis", "away")
