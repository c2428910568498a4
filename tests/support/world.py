"""A whole installation in memory: services that outlive worker processes, and processes that can fail or die."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from attrs import define, evolve, field

from orchestrator.app import Services
from orchestrator.client import Client
from orchestrator.execution.runner import Runner
from orchestrator.ports import Stream
from orchestrator.reconcile.reconciler import Sweep
from orchestrator.retrying import Retrier
from orchestrator.settings.settings import Settings
from orchestrator.task.document import Task
from orchestrator.task.event import Event
from orchestrator.testing.engine import MemoryEngine
from orchestrator.testing.event_bus import MemoryEventBus
from orchestrator.testing.lock import MemoryLock
from orchestrator.testing.object_store import MemoryObjectStore
from orchestrator.testing.programs import Program
from orchestrator.testing.queue import MemoryQueue
from orchestrator.testing.task_store import MemoryTaskStore
from tests.support.faults import Guarded, Process

Programs = dict[tuple[str, ...], Program]


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
    """The services, a client, and any number of worker processes one after the other or side by side.

    Each of ``hosts`` has an engine of that name and a spool folder; all share the other services. Whatever is left behind is
    old enough to be swept.
    """

    def __init__(
        self,
        folder: Path,
        programs: Programs | None = None,
        hosts: Sequence[str] = ("memory",),
        store: Callable[[Clock], MemoryTaskStore] = MemoryTaskStore,
        engine: Callable[..., MemoryEngine] = MemoryEngine,
        settings: Settings = Settings(retry_budget=5.0, orphan_grace=-1.0, spool_grace=-1.0),  # noqa: B008  frozen
        **options: object,
    ) -> None:
        self.clock = Clock()
        self.published: list[Event] = []
        self.queue = MemoryQueue()
        self.engines = {name: engine(programs, name=name, **options) for name in hosts}
        self.engine = self.engines[hosts[0]]
        self.settings = evolve(settings, spool_dir=folder)
        events = _Recorded(MemoryEventBus(), self.published)
        self.services = Services(
            self.settings, store(self.clock), events, self.queue, MemoryObjectStore(), self.engine, MemoryLock()
        )
        self.client = Client(self.services)

    def process(self, process: Process | None = None, name: str = "worker", host: str | None = None) -> Services:
        """The services as seen by a new process on ``host``, subject to the faults of ``process``."""
        host = next(iter(self.engines)) if host is None else host
        ports = {port: getattr(self.services, port) for port in ("store", "events", "queue", "logs", "lock")}
        ports["engine"] = self.engines[host]
        guarded = {port: Guarded(process or Process(), adapter) for port, adapter in ports.items()}
        settings = evolve(self.settings, worker_name=name, spool_dir=self.settings.spool_dir / host)
        return Services(settings, retrier=Retrier(lambda _: None), **guarded)

    def worker(self, process: Process | None = None, name: str = "worker", host: str | None = None) -> Runner:
        """The runner of a new worker process."""
        return self.process(process, name, host).runner

    def sweep(self, process: Process | None = None, host: str | None = None) -> Sweep:
        """The sweep of a new worker process, which runs what it adopts at once."""
        services = self.process(process, "sweeper", host)
        return services.sweep(services.runner.run)

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

    def subscribe(self, task_id: str | None):  # noqa: ANN202
        return self._bus.subscribe(task_id)
