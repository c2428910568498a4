"""A whole installation in memory: services that outlive worker processes, and processes that can fail or die."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from attrs import define, evolve, field

from orchestrator.adapters.memory_engine import MemoryEngine, Program
from orchestrator.adapters.memory_events import MemoryEventBus
from orchestrator.adapters.memory_logs import MemoryLogStore
from orchestrator.adapters.memory_mutex import MemoryMutex
from orchestrator.adapters.memory_queue import MemoryQueue
from orchestrator.adapters.memory_store import MemoryTaskStore
from orchestrator.client import Client
from orchestrator.event import Event
from orchestrator.patience import Patience
from orchestrator.ports import Stream
from orchestrator.runner import Runner
from orchestrator.services import Services
from orchestrator.settings import Settings
from orchestrator.task import Task
from tests.support.faults import Guarded, Process


@define
class Clock:
    """The database's clock, moved by hand."""

    time: datetime = datetime(2030, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        """The time now."""
        return self.time

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.time += timedelta(seconds=seconds)


class World:
    """The services, a client, and any number of worker processes one after the other or side by side."""

    def __init__(self, folder: Path, programs: dict[tuple[str, ...], Program] | None = None, **options: object) -> None:
        self.clock = Clock()
        self.events = MemoryEventBus()
        self.published: list[Event] = []
        self.engine = MemoryEngine(programs, **options)
        self.settings = Settings(spool_dir=folder, retry_budget=5.0)
        self.services = Services(
            self.settings,
            MemoryTaskStore(self.clock),
            _Recorded(self.events, self.published),
            MemoryQueue(),
            MemoryLogStore(),
            self.engine,
            MemoryMutex(),
        )
        self.client = Client(self.services)

    def worker(self, process: Process | None = None, name: str = "worker") -> Runner:
        """The runner of a new worker process, subject to the faults of ``process``."""
        process = process or Process()
        services = self.services
        guarded = {port: Guarded(process, getattr(services, port)) for port in ("store", "events", "logs", "engine")}
        settings = evolve(self.settings, worker_name=name)
        return Services(
            settings, queue=services.queue, mutex=services.mutex, patience=Patience(lambda _: None), **guarded
        ).runner

    def expire_leases(self) -> None:
        """Let so much time pass that every lease has run out."""
        self.clock.advance(self.settings.lease_ttl + 1)

    def output(self, task: Task, stream: Stream) -> bytes:
        """What object storage has of a stream."""
        return b"".join(self.client.logs(task.id, stream))


@define
class _Recorded:
    _bus: MemoryEventBus
    _published: list[Event] = field()

    def publish(self, event: Event) -> None:
        self._bus.publish(event)
        self._published.append(event)

    def subscribe(self, task_id: str | None):
        return self._bus.subscribe(task_id)
