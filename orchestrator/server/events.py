"""Events for many viewers: one subscription of the process, handed to each viewer through a queue of its own.

A viewer whose queue is full has not kept up and is dropped: it comes back and asks for what it has not seen.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

from attrs import define, field

from orchestrator.errors import InfrastructureError
from orchestrator.log import logger
from orchestrator.retrying import SUBSCRIPTION
from orchestrator.task.event import Event

T = TypeVar("T")
_QUEUED = 256
"""Events that wait for a viewer."""
_PAUSE = 10.0
"""Seconds without an event after which a viewer of one task asks the store: Pub/Sub may lose one."""


class Cut(Exception):
    """An answer has begun and cannot be ended as it should; its connection is closed, so that nobody takes it for whole."""


class Feed(Protocol):
    """Where events are heard of."""

    def listen(self) -> AsyncIterator[Event | None]:
        """The events of all tasks; None once it listens. Raises InfrastructureError when the connection is lost."""

    async def close(self) -> None:
        """Close the connections."""


@define(eq=False)
class Viewer:
    """One who is told. None in the queue says that events may have been lost."""

    queue: asyncio.Queue[Event | None] = field(factory=lambda: asyncio.Queue(_QUEUED))
    dropped: bool = False

    def tell(self, event: Event | None) -> None:
        """Put it in the queue, or drop the viewer."""
        try:
            self.queue.put_nowait(event)
        except asyncio.QueueFull:
            self.dropped = True

    def drop(self) -> None:
        """Tell it no more; one that waits is woken."""
        self.dropped = True
        with contextlib.suppress(asyncio.QueueFull):
            self.queue.put_nowait(None)

    async def events(self, pause: float = _PAUSE) -> AsyncIterator[Event | None]:
        """What is told, until the viewer is dropped; None, too, when nothing was told for ``pause`` seconds."""
        while not self.dropped or not self.queue.empty():
            try:
                yield await asyncio.wait_for(self.queue.get(), pause)
            except TimeoutError:
                yield None


class Broadcast:
    """The subscription and its viewers."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._viewers: dict[str | None, set[Viewer]] = {}
        self.listens = False
        """Whether events arrive now."""
        self._over = asyncio.Event()

    @property
    def viewers(self) -> int:
        """How many there are."""
        return sum(map(len, self._viewers.values()))

    @contextmanager
    def view(self, task_id: str | None) -> Iterator[Viewer]:
        """A viewer of one task, or of all, for the length of the block."""
        viewer = Viewer(dropped=self._over.is_set())
        self._viewers.setdefault(task_id, set()).add(viewer)
        try:
            yield viewer
        finally:
            self._viewers[task_id].discard(viewer)
            if not self._viewers[task_id]:
                del self._viewers[task_id]

    async def run(self) -> None:
        """Listen for ever; a connection that is lost is sought again."""
        while True:
            try:
                async for event in self._feed.listen():
                    self.listens = True
                    self._tell(event)
            except InfrastructureError as error:
                logger.debug("the connection is sought again: {}", error)
            self.listens = False
            await asyncio.sleep(SUBSCRIPTION.delay(1))

    def stop(self) -> None:
        """End what every viewer sees: the server is to stop."""
        self._over.set()
        for viewer in [viewer for viewers in self._viewers.values() for viewer in viewers]:
            viewer.drop()

    async def until_stopped(self, items: AsyncIterator[T]) -> AsyncIterator[T]:
        """The same items. Raises Cut when the server is to stop before their end."""
        over = asyncio.ensure_future(self._over.wait())
        following: asyncio.Future[T] | None = None
        try:
            while True:
                following = asyncio.ensure_future(anext(items))
                await asyncio.wait({over, following}, return_when=asyncio.FIRST_COMPLETED)
                if not following.done():
                    raise Cut
                try:
                    yield following.result()
                except StopAsyncIteration:
                    return
        finally:
            for each in (over, following):
                if each is not None:
                    each.cancel()

    async def close(self) -> None:
        """Close the connections."""
        await self._feed.close()

    def _tell(self, event: Event | None) -> None:
        """To those of the task and those of all; that some may be lost, to everybody."""
        if event is None:
            told = [viewer for viewers in self._viewers.values() for viewer in viewers]
        else:
            told = [*self._viewers.get(event.task_id, ()), *self._viewers.get(None, ())]
        for viewer in told:
            viewer.tell(event)


@contextlib.asynccontextmanager
async def running(broadcast: Broadcast) -> AsyncIterator[None]:
    """A block in which it listens; closed at its end."""
    listening = asyncio.create_task(broadcast.run())
    try:
        yield
    finally:
        listening.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await listening
        await broadcast.close()
