"""The client for asyncio: the same methods, each a coroutine or an asynchronous iterator."""

import asyncio
import builtins
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from functools import partial
from importlib import import_module
from typing import Any, Protocol, Self, TypeVar, cast

from orchestrator.client import Client, task_of
from orchestrator.errors import DuplicateTask, InfrastructureError, InvalidTask
from orchestrator.log import logger
from orchestrator.outcome.series import Series
from orchestrator.outcome.stats import Stats
from orchestrator.output.following import Missed, Position, news
from orchestrator.ports import LiveEntry, Piece, Point, Stream
from orchestrator.retrying import SUBSCRIPTION
from orchestrator.settings.environment import environment, names_api
from orchestrator.settings.settings import Settings
from orchestrator.task.artifact import Artifact
from orchestrator.task.document import Task
from orchestrator.task.event import Event
from orchestrator.task.values import Document

T = TypeVar("T")


class Documents(Protocol):
    """Where tasks are read while they are followed."""

    async def find(self, task_id: str) -> Document | None:
        """The document, or None."""

    async def close(self) -> None:
        """Close the connections."""


class Entries(Protocol):
    """Where output and events are heard of."""

    def follow(self, deployment: str, task_id: str, *, points: bool = False) -> AsyncIterator[LiveEntry | None]:
        """As ports.LiveOutput; None says that it is followed, and then that nothing has come for a while."""

    async def close(self) -> None:
        """Close the connections."""


class AsyncClient:
    """A view of the tasks for one event loop. As an asynchronous context manager it is closed at the end of the block.

    ``watch`` and ``follow`` wait without a thread. The other calls are short, and are made by the loop's threads.
    """

    def __init__(self, client: Client, documents: Documents, entries: Entries) -> None:
        self._client = client
        self._documents = documents
        self._entries = entries

    @classmethod
    def from_env(cls) -> Self:
        """As ``Client.from_env``. Raises SettingsError."""
        variables = environment()
        settings = Settings.load(variables)
        if names_api(variables):
            return cast("Self", import_module("orchestrator.http_client.asynchronous").AsyncHttpClient.of(settings))
        from orchestrator.adapters.mongo.task_store import AsyncDocuments  # noqa: PLC0415  the libraries are slow to import
        from orchestrator.adapters.redis.live_output import AsyncRedisLiveOutput  # noqa: PLC0415  the same

        return cls(Client.from_env(), AsyncDocuments(settings), AsyncRedisLiveOutput(settings))

    async def close(self) -> None:
        """Close the connections."""
        await self._documents.close()
        await self._entries.close()
        await asyncio.to_thread(self._client.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *raised: object) -> None:
        await self.close()

    async def submit(self, request: Mapping[str, object], task_id: str | None = None) -> Task:
        """See Client."""
        return await asyncio.to_thread(self._client.submit, request, task_id)

    async def submit_many(
        self, requests: Iterable[Mapping[str, object]], task_ids: Iterable[str | None] | None = None
    ) -> builtins.list[Task | InvalidTask | DuplicateTask]:
        """See Client."""
        return await asyncio.to_thread(self._client.submit_many, requests, task_ids)

    async def get(self, task_id: str) -> Task:
        """See Client."""
        return task_of(task_id, await self._documents.find(task_id))

    async def list(self, *arguments: Any, **more: Any) -> builtins.list[Task]:
        """See Client."""
        return await asyncio.to_thread(partial(self._client.list, *arguments, **more))

    async def stats(self, window: float = 3600.0) -> Stats:
        """See Client."""
        return await asyncio.to_thread(self._client.stats, window)

    async def cancel(self, task_id: str) -> Task:
        """See Client."""
        return await asyncio.to_thread(self._client.cancel, task_id)

    async def delete(self, task_id: str) -> None:
        """See Client."""
        await asyncio.to_thread(self._client.delete, task_id)

    def delete_all(self, tasks: Iterable[Task]) -> AsyncIterator[str]:
        """See Client."""
        return _in_threads(partial(self._client.delete_all, tasks))

    def logs(self, task_id: str, stream: Stream | str, offset: int = 0, *, attempt: int | None = None) -> AsyncIterator[bytes]:
        """See Client."""
        return _in_threads(partial(self._client.logs, task_id, stream, offset, attempt=attempt))

    async def series(self, task_id: str, attempt: int | None = None) -> Series | None:
        """See Client."""
        return await asyncio.to_thread(self._client.series, task_id, attempt)

    async def running(self) -> builtins.list[tuple[Task, Point | None]]:
        """See Client."""
        return await asyncio.to_thread(self._client.running)

    async def artifacts(self, task_id: str) -> tuple[Artifact, ...]:
        """See Client."""
        return (await self.get(task_id)).artifacts_stored

    def artifact(self, task_id: str, path: str, offset: int = 0) -> AsyncIterator[bytes]:
        """See Client."""
        return _in_threads(partial(self._client.artifact, task_id, path, offset))

    async def watch(self, task_id: str, after_seq: int = -1) -> AsyncIterator[Event]:
        """See Client."""
        async for item in self._following(task_id, None, after_seq):
            if isinstance(item, Event):
                yield item

    async def follow(
        self,
        task_id: str,
        offsets: Mapping[Stream, int] | None = None,
        *,
        attempt: int | None = None,
        after_seq: int = -1,
        gaps: bool = False,
        samples: bool = False,
    ) -> AsyncIterator[Piece | Missed | Point | Event]:
        """See Client."""
        if attempt is None:
            attempt = (await self.get(task_id)).attempt if offsets else 0
        async for item in self._following(task_id, Position(offsets, attempt, gaps=gaps), after_seq, samples=samples):
            yield item

    async def _following(
        self, task_id: str, position: Position | None, seen: int, *, samples: bool = False
    ) -> AsyncIterator[Piece | Missed | Point | Event]:
        """From one connection to the next, as long as something comes within RETRY_BUDGET; without a position events alone."""
        heard_at = time.monotonic()
        while True:
            try:
                async for item in self._heard(task_id, position, seen, samples=samples):
                    heard_at = time.monotonic()
                    if isinstance(item, Event):
                        seen = item.seq
                    if item is not None:
                        yield item
            except InfrastructureError as error:
                if time.monotonic() > heard_at + self._client.services.settings.retry_budget:
                    raise
                logger.debug("the connection is sought again: {}", error)
                await asyncio.sleep(SUBSCRIPTION.delay(1))
            else:
                return

    async def _heard(
        self, task_id: str, position: Position | None, seen: int, *, samples: bool
    ) -> AsyncIterator[Piece | Missed | Point | Event | None]:
        deployment = await asyncio.to_thread(lambda: self._client.services.deployment)
        async for heard in self._entries.follow(deployment, task_id, points=samples):
            if isinstance(heard, Point):
                for point in position.pass_on(heard) if position else ():
                    yield point
                continue
            if isinstance(heard, Piece):
                for each in position.take(heard) if position else ():
                    yield each
                continue
            told = news(heard, seen, deployment)
            for event in Event.all_of(await self.get(task_id), seen, deployment) if told is None else told:
                if event.is_last and position:
                    async for item in self._rest(task_id, position):
                        yield item
                seen = event.seq
                yield event
                if event.is_last:
                    return
            yield None

    async def _rest(self, task_id: str, position: Position) -> AsyncIterator[Piece | Missed]:
        async for each in _in_threads(partial(self._client.rest, task_id, position)):
            yield each


async def _in_threads(source: Callable[[], Iterator[T]]) -> AsyncIterator[T]:
    """What an iterator yields, each taken from it in a thread."""
    iterator: Iterator[T] = await asyncio.to_thread(source)
    while (each := await asyncio.to_thread(next, iterator, _END)) is not _END:
        yield each


_END: Any = object()
