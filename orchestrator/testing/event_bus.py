"""Events within one process. They go through their wire form, so a subscriber gets just what Redis would bring."""

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from orchestrator.task.event import Event
from orchestrator.testing.live_output import MemoryLiveOutput

Inbox = queue.SimpleQueue[str]


class MemoryEventBus:
    """The EventBus of one process; ``idle`` is how long a subscriber waits before it yields None, in seconds."""

    def __init__(self, idle: float = 1.0) -> None:
        self._idle = idle
        self.live = MemoryLiveOutput(idle)
        self._lock = threading.Lock()
        self._subscribers: list[tuple[str | None, Inbox]] = []
        self._sent: dict[tuple[str, str], tuple[str, int]] = {}

    def publish(self, event: Event) -> None:
        """Hand to every subscriber of the task and of all tasks."""
        line = event.to_json()
        with self._lock:
            if self._is_late(event):
                return
            for task_id, inbox in self._subscribers:
                if task_id in {None, event.task_id}:
                    inbox.put(line)
            self.live.tell(event)

    def _is_late(self, event: Event) -> bool:
        """Whether a later event of the task was sent; notes this one unless it was."""
        key = event.deployment, event.task_id
        nonce, seq = self._sent.get(key, ("", 0))
        if event.seq < seq and event.nonce in {"", nonce}:
            return True
        self._sent[key] = event.nonce, event.seq
        return False

    @contextmanager
    def subscribe(self, task_id: str | None) -> Iterator[Iterator[Event | None]]:
        """Everything published from now to the end of the block."""
        subscriber: tuple[str | None, Inbox] = (task_id, queue.SimpleQueue())
        with self._lock:
            self._subscribers.append(subscriber)
        try:
            yield self._events(subscriber[1])
        finally:
            with self._lock:
                self._subscribers = [other for other in self._subscribers if other is not subscriber]

    def _events(self, inbox: Inbox) -> Iterator[Event | None]:
        while True:
            try:
                yield Event.from_json(inbox.get(timeout=self._idle))
            except queue.Empty:
                yield None
