"""What the handlers work on: the client, what is read and heard of without a thread, and the tokens."""

from collections.abc import AsyncIterator, Callable, Generator, Iterator
from functools import cached_property, partial
from typing import ParamSpec, TypeVar

from anyio import CapacityLimiter, to_thread
from attrs import define, field

from orchestrator.async_client import AsyncClient, Documents, Entries
from orchestrator.client import Client, task_of
from orchestrator.errors import InfrastructureError, OrchestratorError
from orchestrator.log import logger
from orchestrator.outcome.stats import Stats
from orchestrator.server.events import Broadcast, Cut, Feed
from orchestrator.server.shared import Shared
from orchestrator.server.tokens import Tokens
from orchestrator.settings.settings import Settings
from orchestrator.task.document import Task

P = ParamSpec("P")
T = TypeVar("T")
_WINDOWS = 16
"""Windows whose figures are kept."""
_COUNTS = 2
"""Windows whose figures are counted at once: each count holds a thread and reads many tasks."""
_MINUTE, _HOUR = 60, 3600
_THREADS = 40
"""Calls to servers at once that wait in a thread."""


@define(slots=False)
class Backend:
    """All of them."""

    client: Client
    documents: Documents
    entries: Entries
    feed: Feed
    tokens: Tokens = field(factory=Tokens)
    _counted: dict[float, Shared[Stats]] = field(factory=dict, init=False)
    """Figures by their window; the one that was asked for last is the last."""

    @property
    def settings(self) -> Settings:
        """The settings of the process."""
        return self.client.services.settings

    @cached_property
    def broadcast(self) -> Broadcast:
        """Tells viewers of events."""
        return Broadcast(self.feed)

    @cached_property
    def follower(self) -> AsyncClient:
        """Follows output."""
        return AsyncClient(self.client, self.documents, self.entries)

    @cached_property
    def _threads(self) -> CapacityLimiter:
        return CapacityLimiter(_THREADS)

    @cached_property
    def _counters(self) -> CapacityLimiter:
        return CapacityLimiter(_COUNTS)

    async def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call it in a thread."""
        return await to_thread.run_sync(partial(function, *args, **kwargs), limiter=self._threads)

    async def deployment(self) -> str:
        """Whose tasks these are."""
        return await self.call(lambda: self.client.services.deployment)

    async def task(self, task_id: str) -> Task:
        """The task as stored. Raises UnknownTask."""
        return task_of(task_id, await self.documents.find(task_id))

    async def stats(self, window: float) -> Stats:
        """The figures of the last ``window`` seconds, rounded, counted once for all who ask within a second."""
        window = _rounded(window)
        counted = self._counted.pop(window, None) or Shared(partial(self._count, window))
        self._counted[window] = counted
        while len(self._counted) > _WINDOWS:
            del self._counted[next(iter(self._counted))]
        return await counted.get()

    async def _count(self, window: float) -> Stats:
        return await to_thread.run_sync(self.client.stats, window, limiter=self._counters)

    @cached_property
    def database(self) -> Shared[bool]:
        """Whether it answers."""
        return Shared(self._database_answers)

    async def _database_answers(self) -> bool:
        try:
            await self.call(self.client.services.store.now)
        except InfrastructureError:
            return False
        return True

    async def opened(self, source: Callable[[], Iterator[bytes]], size: int) -> AsyncIterator[bytes]:
        """The first ``size`` bytes of an iterator, which has begun; each chunk is taken in a thread."""
        iterator = await self.call(source)
        return self._chunks(iterator, await self.call(next, iterator, b""), size)

    async def _chunks(self, iterator: Iterator[bytes], chunk: bytes, left: int) -> AsyncIterator[bytes]:
        try:
            while chunk and left > 0:
                yield chunk[:left]
                left -= len(chunk)
                chunk = await self.call(next, iterator, b"") if left > 0 else b""
        except OrchestratorError as error:
            logger.warning("a download ends early: {}", error)
            raise Cut from error
        finally:
            if isinstance(iterator, Generator):
                iterator.close()

    async def close(self) -> None:
        """Close the connections."""
        await self.follower.close()


def _rounded(window: float) -> float:
    """To whole minutes from ten minutes on, and to hours from a day on: the figures are those of many who ask."""
    step = 1 if window < 10 * _MINUTE else _MINUTE if window < 24 * _HOUR else _HOUR
    return float(window // step * step)
