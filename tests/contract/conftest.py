"""Every port twice: in memory and on a real server. A test that takes one of these runs on both."""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
from attrs import frozen
from rq import Queue as Rq
from rq import SimpleWorker
from rq.serializers import JSONSerializer

from orchestrator.adapters.mongo.task_store import MongoTaskStore
from orchestrator.adapters.redis.client import redis_client
from orchestrator.adapters.redis.event_bus import RedisEventBus
from orchestrator.adapters.redis.live_output import RedisLiveOutput
from orchestrator.adapters.redis.lock import RedisLock
from orchestrator.adapters.redis.queue import RqQueue
from orchestrator.adapters.s3.object_store import MinioObjectStore
from orchestrator.ports import EventBus, LiveOutput, ObjectStore, Queue, SharedLock, TaskStore
from orchestrator.settings.settings import Settings
from orchestrator.testing.event_bus import MemoryEventBus
from orchestrator.testing.lock import MemoryLock
from orchestrator.testing.object_store import MemoryObjectStore
from orchestrator.testing.queue import MemoryQueue
from orchestrator.testing.task_store import MemoryTaskStore
from tests.support import pace
from tests.support.fault_wait import until

IDLE = 0.1


@pytest.fixture(params=["memory", "real"])
def kind(request: pytest.FixtureRequest) -> str:
    """Which of the two twins is under test."""
    return request.param


@pytest.fixture
def real_store(settings: Settings) -> Iterator[MongoTaskStore]:
    """The store on SecantusDB."""
    store = MongoTaskStore(settings)
    store.prepare()
    yield store
    store.close()


@pytest.fixture
def store(kind: str, request: pytest.FixtureRequest) -> TaskStore:
    """A store without tasks."""
    return MemoryTaskStore() if kind == "memory" else request.getfixturevalue("real_store")


@pytest.fixture
def real_events(settings: Settings) -> RedisEventBus:
    """The bus on Valkey."""
    return RedisEventBus(settings, IDLE)


@pytest.fixture
def events(kind: str, request: pytest.FixtureRequest) -> EventBus:
    """A bus whose subscribers yield None after a tenth of a second."""
    return MemoryEventBus(IDLE) if kind == "memory" else request.getfixturevalue("real_events")


@frozen
class Line:
    """Both ends of a queue. ``waiting`` empties it and returns the ids in the order in which workers get them."""

    queue: Queue
    waiting: Callable[[], list[str]]
    listening: Callable[[], AbstractContextManager[None]]
    """A block in which a worker waits for entries."""


@pytest.fixture
def line(kind: str, request: pytest.FixtureRequest) -> Line:
    """An empty queue."""
    if kind == "memory":
        queue = MemoryQueue()
        return Line(queue, lambda: list(iter(queue.take, None)), lambda: _taking(queue))
    settings = request.getfixturevalue("settings")
    return Line(RqQueue(settings), lambda: _taken(settings), lambda: _registered(settings))


@contextmanager
def _taking(queue: MemoryQueue) -> Iterator[None]:
    waiting = threading.Thread(target=queue.take, args=(pace.seconds(60),))
    waiting.start()
    until(queue.workers)
    yield
    queue.enqueue("the end")
    waiting.join()


@contextmanager
def _registered(settings: Settings) -> Iterator[None]:
    with redis_client(settings) as redis:
        worker = SimpleWorker([settings.queue], connection=redis, serializer=JSONSerializer)
        worker.register_birth()
        yield
        worker.register_death()


def _taken(settings: Settings) -> list[str]:
    with redis_client(settings) as redis:
        queue = Rq(settings.queue, connection=redis, serializer=JSONSerializer)
        jobs = queue.jobs
        queue.empty()
        return [job.args[0] for job in jobs]


@pytest.fixture
def lock(kind: str, request: pytest.FixtureRequest) -> SharedLock:
    """A free lock."""
    return MemoryLock() if kind == "memory" else RedisLock(request.getfixturevalue("settings"))


@pytest.fixture
def logs(kind: str, request: pytest.FixtureRequest) -> ObjectStore:
    """A log store with its bucket."""
    logs = MemoryObjectStore() if kind == "memory" else MinioObjectStore(request.getfixturevalue("settings"))
    logs.prepare()
    return logs


@pytest.fixture
def live(events: EventBus, request: pytest.FixtureRequest) -> LiveOutput:
    """The output of the tasks whose events go over the bus; followers are idle after a tenth of a second."""
    if isinstance(events, MemoryEventBus):
        return events.live
    return RedisLiveOutput(request.getfixturevalue("settings"), IDLE)
