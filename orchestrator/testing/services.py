"""A deployment in memory: the services, a client of them, and a worker."""

import shutil
import tempfile
import threading
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

from attrs import evolve

from orchestrator.app import Services
from orchestrator.client import Client
from orchestrator.settings.settings import Settings
from orchestrator.task.document import Task
from orchestrator.testing.engine import MemoryEngine
from orchestrator.testing.event_bus import MemoryEventBus
from orchestrator.testing.lock import MemoryLock
from orchestrator.testing.object_store import MemoryObjectStore
from orchestrator.testing.programs import Program
from orchestrator.testing.queue import MemoryQueue
from orchestrator.testing.task_store import MemoryTaskStore

_LOOK = 0.05


class MemoryServices(Services):
    """Services that live in this process and are forgotten with it.

    ``programs`` says what each command does; any other command exits 0 at once and prints nothing. ``settings`` are those of
    the worker: limits, permissions, budgets. Output waits in a folder of its own, which goes with this object.
    """

    def __init__(self, programs: Mapping[tuple[str, ...], Program] | None = None, settings: Settings | None = None) -> None:
        folder = tempfile.mkdtemp(prefix="orchestrator-memory-")
        remove = weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        self._taken = MemoryQueue()
        events = MemoryEventBus()
        super().__init__(
            evolve(settings or Settings(), spool_dir=Path(folder)),
            store=MemoryTaskStore(),
            events=events,
            queue=self._taken,
            logs=MemoryObjectStore(),
            engine=MemoryEngine(programs),
            lock=MemoryLock(),
            live=events.live,
            closing=[remove],
        )

    @cached_property
    def client(self) -> Client:
        """What a program that hands in tasks has; ``close`` on it closes these services."""
        return Client(self)

    def run_queued(self) -> list[Task]:
        """Run what is in the queue, one after the other, until nothing is; the tasks that ended."""
        ended = []
        while (task_id := self._taken.take()) is not None:
            task = self.runner.run(task_id)
            if task is not None:
                ended.append(task)
        return ended

    @contextmanager
    def working(self) -> Iterator[None]:
        """Run what is handed in within the block, in a thread: for code that waits for its tasks."""
        over = threading.Event()
        worker = threading.Thread(target=self._work, args=(over,), name="worker in memory", daemon=True)
        worker.start()
        try:
            yield
        finally:
            over.set()
            worker.join()

    def _work(self, over: threading.Event) -> None:
        while not over.is_set():
            task_id = self._taken.take(_LOOK)
            if task_id is not None:
                self.runner.run(task_id)
