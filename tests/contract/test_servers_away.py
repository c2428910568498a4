"""Every port whose server is away: the call ends within seconds, as InfrastructureError of that service."""

import hashlib
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from orchestrator.adapters.mongo.task_store import MongoTaskStore
from orchestrator.adapters.redis.event_bus import RedisEventBus
from orchestrator.adapters.redis.live_output import RedisLiveOutput
from orchestrator.adapters.redis.lock import RedisLock
from orchestrator.adapters.redis.queue import RqQueue
from orchestrator.adapters.s3.object_store import MinioObjectStore
from orchestrator.cause import Cause
from orchestrator.errors import InfrastructureError
from orchestrator.ports import Move, Part, Piece, Search, Stream
from orchestrator.settings.settings import Settings
from orchestrator.task.event import Event
from orchestrator.task.values import Ending, Entry
from statemachine import State, Trigger
from tests.support import pace

NOON = datetime(2030, 5, 17, 12, tzinfo=UTC)
MOVE = Move("t1", "token", Entry(1, Trigger.START, State.QUEUED, State.RUNNING, NOON), {})
WITHIN = pace.seconds(25.0)


@pytest.fixture(params=["refused", "silent"])
def away(request: pytest.FixtureRequest) -> Iterator[Settings]:
    """Settings with a port without a listener, or with a port that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        if request.param == "refused":
            server.close()
        yield Settings(mongo_uri=f"mongodb://{address}", redis_url=f"redis://{address}", minio_endpoint=address)


def calls(settings: Settings, store: MongoTaskStore, folder: Path) -> list[tuple[str, Callable[[], object]]]:
    """Every call of every port, with the name of the failing service."""
    events, logs = RedisEventBus(settings), MinioObjectStore(settings)
    small, large = folder / "small", folder / "large"
    small.write_bytes(b"x")
    large.write_bytes(bytes(11 << 20))
    return [
        ("mongodb", store.prepare),
        ("mongodb", lambda: store.insert({"_id": "t1"})),
        ("mongodb", lambda: store.insert_many([{"_id": "t1"}])),
        ("mongodb", lambda: store.find("t1")),
        ("mongodb", lambda: store.list(Search(), 1)),
        ("mongodb", lambda: store.claim("t1", "worker", "token", 1)),
        ("mongodb", lambda: store.renew({"t1": "token"}, 1)),
        ("mongodb", lambda: store.begin("t1", "token", "c1", 1)),
        ("mongodb", lambda: store.note_input("t1", "token", "c1", whole=True)),
        ("mongodb", lambda: store.note_ending("t1", "token", Ending("c1", Cause.TIMEOUT))),
        ("mongodb", lambda: store.note_parts("t1", "token", "t1/1/a")),
        ("mongodb", lambda: store.let_go("t1", "token")),
        ("mongodb", lambda: store.advance(MOVE)),
        ("mongodb", lambda: store.settle("t1", "one", 1)),
        ("mongodb", lambda: store.request_cancel("t1")),
        ("mongodb", lambda: store.cancelled(["t1"])),
        ("mongodb", store.now),
        ("mongodb", lambda: list(store.active())),
        ("mongodb", lambda: list(store.waiting(1))),
        ("mongodb", lambda: list(store.unsettled(1))),
        ("mongodb", lambda: store.standing(["t1"])),
        ("mongodb", lambda: store.mark_deleting({"t1": None}, "token")),
        ("mongodb", lambda: store.deleting(1)),
        ("mongodb", lambda: store.delete({"t1": "token"})),
        ("mongodb", lambda: store.expired(NOON, 1)),
        ("mongodb", lambda: store.outlived(NOON, 1)),
        ("mongodb", lambda: store.with_output(Part.LOGS, None, NOON, 1)),
        ("mongodb", lambda: store.note_removed(Part.LOGS, {"t1": None})),
        ("mongodb", store.deployment),
        ("mongodb", lambda: store.insert_many([{"_id": "t1"}])),
        ("mongodb", lambda: store.ids("t", 1)),
        ("mongodb", store.counts),
        ("mongodb", lambda: store.ended(NOON, 1)),
        ("mongodb", lambda: list(store.begun())),
        ("redis", lambda: events.publish(Event.queued("t1", NOON))),
        ("redis", lambda: events.subscribe("t1").__enter__()),
        ("redis", lambda: RqQueue(settings).enqueue("t1")),
        ("redis", lambda: RqQueue(settings).first(1)),
        ("redis", lambda: RqQueue(settings).depth()),
        ("redis", lambda: RqQueue(settings).records()),
        ("redis", lambda: RedisLiveOutput(settings).append("d", {"t1": [Piece(1, Stream.STDOUT, 0, b"x")]}, 9)),
        ("redis", lambda: RedisLiveOutput(settings).ends("d", "t1", 1)),
        ("redis", lambda: RedisLock(settings).hold("sweep", 1).__enter__()),
        ("s3", logs.prepare),
        ("s3", lambda: logs.put("key", small, _sum(small))),
        ("s3", lambda: logs.put("key", large, _sum(large))),
        ("s3", lambda: logs.stat("key")),
        ("s3", lambda: next(logs.get("key"))),
        ("s3", lambda: next(logs.listed())),
        ("s3", lambda: logs.remove(["key"])),
    ]


def test_a_server_that_is_away_is_infrastructure_within_seconds(away: Settings, tmp_path: Path) -> None:
    """No call hangs, and none leaks an error of a library."""
    with closing(MongoTaskStore(away)) as store, ThreadPoolExecutor(64) as pool:
        begun = time.monotonic()
        started = [(service, pool.submit(call)) for service, call in calls(away, store, tmp_path)]
        assert [_blamed(future.exception()) for _, future in started] == [service for service, _ in started]
        assert time.monotonic() - begun < WITHIN


def _sum(path: Path) -> str:
    """The SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _blamed(error: BaseException | None) -> str:
    assert isinstance(error, InfrastructureError), repr(error)
    return error.service
