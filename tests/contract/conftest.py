"""Every port twice: in memory and on a real server. A test that takes one of these runs on both."""

from collections.abc import Callable, Iterator

import pytest
from attrs import frozen
from rq import Queue as Rq
from rq.serializers import JSONSerializer

from orchestrator.adapters.clients import redis_client
from orchestrator.adapters.memory_events import MemoryEventBus
from orchestrator.adapters.memory_logs import MemoryLogStore
from orchestrator.adapters.memory_mutex import MemoryMutex
from orchestrator.adapters.memory_queue import MemoryQueue
from orchestrator.adapters.memory_store import MemoryTaskStore
from orchestrator.adapters.minio_logs import MinioLogStore
from orchestrator.adapters.mongo import MongoTaskStore
from orchestrator.adapters.redis_events import RedisEventBus
from orchestrator.adapters.redis_mutex import RedisMutex
from orchestrator.adapters.rq_queue import RqQueue
from orchestrator.ports import EventBus, LogStore, Mutex, Queue, TaskStore
from orchestrator.settings import Settings

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
    """A bus whose subscribers are idle after a tenth of a second."""
    return MemoryEventBus(IDLE) if kind == "memory" else request.getfixturevalue("real_events")


@frozen
class Line:
    """Both ends of a queue: ``waiting`` empties it and returns the ids in the order in which workers would get them."""

    queue: Queue
    waiting: Callable[[], list[str]]


@pytest.fixture
def line(kind: str, request: pytest.FixtureRequest) -> Line:
    """A queue with nobody in it."""
    if kind == "memory":
        queue = MemoryQueue()
        return Line(queue, lambda: list(iter(queue.take, None)))
    settings = request.getfixturevalue("settings")
    return Line(RqQueue(settings), lambda: _taken(settings))


def _taken(settings: Settings) -> list[str]:
    with redis_client(settings) as redis:
        queue = Rq(settings.queue, connection=redis, serializer=JSONSerializer)
        jobs = queue.jobs
        queue.empty()
        return [job.args[0] for job in jobs]


@pytest.fixture
def mutex(kind: str, request: pytest.FixtureRequest) -> Mutex:
    """A lock that nobody has."""
    return MemoryMutex() if kind == "memory" else RedisMutex(request.getfixturevalue("settings"))


@pytest.fixture
def logs(kind: str, request: pytest.FixtureRequest) -> LogStore:
    """A log store whose bucket is made."""
    logs = MemoryLogStore() if kind == "memory" else MinioLogStore(request.getfixturevalue("settings"))
    logs.prepare()
    return logs
