"""Output for many followers in one process: one connection waits for all tasks that are followed, whatever their number."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any, cast

from attrs import define, field

from orchestrator.adapters.redis.client import async_redis_client, redis_errors
from orchestrator.adapters.redis.live_output import COUNT, KEEP, LIVE, OPEN, Answer, Places, live_key, parsed, places_of, taken
from orchestrator.errors import InfrastructureError
from orchestrator.ports import LiveEntry
from orchestrator.retrying import SUBSCRIPTION
from orchestrator.settings.settings import Settings

_LOOK = 0.1
"""Seconds that one read waits; a task that is followed from now on is in the next one."""
_OPENED = 2.0
"""Seconds after which it is said again that tasks are followed: a Redis that came back empty has forgotten it."""
_QUEUED = 64
"""Entries that wait for a follower; one that has more waiting reads them itself."""
Numbered = tuple[bytes, bytes, LiveEntry | None]
"""Of which stream, under which number."""


@define(eq=False)
class _Follower:
    """One who follows a task. ``missed``: entries were not put into its queue, and nothing is until it has read them itself."""

    queue: asyncio.Queue[Numbered | InfrastructureError] = field(factory=lambda: asyncio.Queue(_QUEUED))
    missed: bool = False

    def tell(self, each: Numbered | InfrastructureError) -> None:
        if not self.missed:
            try:
                self.queue.put_nowait(each)
            except asyncio.QueueFull:
                self.missed = True

    def begin(self) -> None:
        """What it reads itself from now on has all that was told before."""
        self.missed = False
        while not self.queue.empty():
            self.queue.get_nowait()


class SharedLiveOutput:
    """As AsyncRedisLiveOutput. ``idle`` is the longest wait, in seconds, before a follower is given None."""

    def __init__(self, settings: Settings, idle: float = 10.0) -> None:
        self._redis = async_redis_client(settings)
        self._open = self._redis.register_script(OPEN)
        self._idle = idle
        self._followers: dict[bytes, set[_Follower]] = {}
        self._places: Places = {}
        self._reading: asyncio.Task[None] | None = None

    async def close(self) -> None:
        """Close the connections."""
        if self._reading is not None:
            self._reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reading
        await self._redis.aclose()

    async def follow(self, deployment: str, task_id: str, *, points: bool = False) -> AsyncIterator[LiveEntry | None]:
        """The entries that are there and those that come; None once it follows, and when nothing has come for a while."""
        places = places_of(deployment, task_id, points=points)
        await self._begin(live_key(deployment, task_id), places)
        with self._following(places) as follower:
            yield None
            while True:
                follower.begin()
                async for entry in self._there(places):
                    yield entry
                while not follower.missed or not follower.queue.empty():
                    told = await self._next(follower)
                    if told is None:
                        yield None
                        continue
                    key, number, heard = told
                    if _order(number) > _order(places[key]):
                        places[key] = number
                        if heard is not None:
                            yield heard

    async def _next(self, follower: _Follower) -> Numbered | None:
        """Raises InfrastructureError when the connection was lost."""
        try:
            told = await asyncio.wait_for(follower.queue.get(), self._idle)
        except TimeoutError:
            return None
        if isinstance(told, InfrastructureError):
            raise told
        return told

    async def _begin(self, live: str, places: Places) -> None:
        """Make the stream, and note where the reader begins: what was there before, each follower reads itself."""
        with redis_errors():
            await cast("Any", self._open(keys=[live], args=[KEEP]))
            newest = {key: cast("Any", await self._redis.xrevrange(key.decode(), count=1)) for key in places}
        for key, entries in newest.items():
            self._places.setdefault(key, entries[0][0] if entries else b"0")

    @contextmanager
    def _following(self, places: Places) -> Iterator[_Follower]:
        follower = _Follower()
        for key in places:
            self._followers.setdefault(key, set()).add(follower)
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read_all())
        try:
            yield follower
        finally:
            for key in places:
                self._followers[key].discard(follower)
                if not self._followers[key]:
                    del self._followers[key], self._places[key]

    async def _there(self, places: Places) -> AsyncIterator[LiveEntry]:
        """What is there behind these places, some at a time."""
        while found := await self._read(places, None):
            for entry in taken(found, places):
                yield entry

    async def _read_all(self) -> None:
        """Until nobody follows; an error is told to all followers."""
        clock = asyncio.get_running_loop().time
        opened_at = clock()
        while self._places:
            try:
                self._tell(await self._read(self._places, round(_LOOK * 1000)))
                if clock() > opened_at + _OPENED:
                    opened_at = clock()
                    await self._say_again()
            except InfrastructureError as error:
                for follower in [follower for followers in self._followers.values() for follower in followers]:
                    follower.tell(error)
                await asyncio.sleep(SUBSCRIPTION.delay(1))

    async def _read(self, places: Places, block: int | None) -> Answer:
        with redis_errors():
            return cast("Answer", await self._redis.xread(cast("Any", places.copy()), block=block, count=COUNT) or [])

    async def _say_again(self) -> None:
        with redis_errors():
            async with self._redis.pipeline(transaction=False) as pipeline:
                for key in [key for key in self._places if key.startswith(LIVE)]:
                    await cast("Any", self._open(keys=[key], args=[KEEP], client=pipeline))
                await pipeline.execute()

    def _tell(self, found: Answer) -> None:
        for key, entries in found:
            followers = [*self._followers.get(key, ())]
            if followers:
                self._places[key] = entries[-1][0]
            for number, fields in entries:
                entry = parsed(fields)
                for follower in followers:
                    follower.tell((key, number, entry))


def _order(number: bytes) -> tuple[int, int]:
    """Entries are numbered by time, and then one after the other."""
    time, _, count = number.partition(b"-")
    return int(time), int(count or 0)
