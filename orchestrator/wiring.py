"""Chooses the adapters: the one place where settings become services. Imports an adapter, and its library, when it is used."""

from collections.abc import Callable, Collection
from enum import StrEnum
from typing import Any, TypeVar, cast

from orchestrator.adapters.per_process import PerProcess
from orchestrator.app import Services
from orchestrator.errors import SettingsError
from orchestrator.metrics.failures import counted
from orchestrator.metrics.measurements import Measurements
from orchestrator.ports import Engine, EventBus, Intake, LiveOutput, ObjectStore, PullPolicy, Queue, SharedLock, TaskStore
from orchestrator.settings.settings import Settings

T = TypeVar("T")


class Server(StrEnum):
    """What settings name and a library connects to."""

    MONGODB = "mongodb"
    REDIS = "redis"
    S3 = "s3"
    DOCKER = "docker"


ALL = frozenset(Server)


def connect(settings: Settings, uses: Collection[Server] = ALL) -> Services:
    """The real services. Nothing is made before it is used, nor connected; what was made can be closed.

    Raises SettingsError as ``check`` does; for a server that is not in ``uses``, when it is used all the same.
    """
    check(settings, uses)
    closing: list[Callable[[], None]] = []
    measured = Measurements()

    def later(server: Server, make: Callable[[Settings], T]) -> T:
        def made() -> T:
            if server not in uses:
                check(settings, {server})
            return make(settings)

        adapter = _Later(made, server, measured)
        closing.append(adapter.close)
        return cast("T", adapter)

    def taking_in(events: EventBus, queue: Queue) -> Intake:
        return cast("Intake", _Later(lambda: _intake(_made(events), _made(queue)), Server.REDIS, measured))

    return Services(
        settings,
        store=later(Server.MONGODB, _store),
        events=later(Server.REDIS, _events),
        queue=later(Server.REDIS, _queue),
        lock=later(Server.REDIS, _lock),
        live=later(Server.REDIS, _live),
        taking_in=taking_in,
        logs=later(Server.S3, _logs),
        engine=later(Server.DOCKER, _engine),
        measured=measured,
        closing=closing,
    )


def check(settings: Settings, uses: Collection[Server] = ALL) -> None:
    """Have the library of each server that will be used read its settings, without a connection.

    Raises SettingsError that names every one that is refused.
    """
    complaints = []
    for read in (read for server, read in _CHECKS.items() if server in uses):
        try:
            read(settings)
        except SettingsError as error:
            complaints.append(str(error))
    if complaints:
        raise SettingsError("\n".join(complaints))


class _Later:
    """Stands for an adapter, which is made when something of it is first asked for, in each process that asks.

    Failed calls are counted.
    """

    def __init__(self, make: Callable[[], Any], server: Server, measured: Measurements) -> None:
        self._adapter = PerProcess(make)
        self._server = server
        self._measured = measured

    def __getattr__(self, name: str) -> Any:
        return counted(getattr(self._adapter(), name), self._server, self._measured)

    def made(self) -> Any:
        """The adapter itself."""
        return self._adapter()

    def close(self) -> None:
        """Close the adapter if this process has made it; what is asked for later makes another."""
        adapter = self._adapter.dropped()
        if adapter is not None:
            adapter.close()


def _made(adapter: T) -> T:
    """The adapter itself, which tells by its type what it can do."""
    return cast("T", adapter.made()) if isinstance(adapter, _Later) else adapter


def _store(settings: Settings) -> TaskStore:
    from orchestrator.adapters.mongo.task_store import MongoTaskStore

    return MongoTaskStore(settings)


def _events(settings: Settings) -> EventBus:
    from orchestrator.adapters.redis.event_bus import RedisEventBus

    return RedisEventBus(settings)


def _live(settings: Settings) -> LiveOutput:
    from orchestrator.adapters.redis.live_output import RedisLiveOutput

    return RedisLiveOutput(settings)


def _queue(settings: Settings) -> Queue:
    from orchestrator.adapters.redis.queue import RqQueue

    return RqQueue(settings)


def _intake(events: EventBus, queue: Queue) -> Intake:
    from orchestrator.adapters.redis.intake import intake

    return intake(events, queue)


def _logs(settings: Settings) -> ObjectStore:
    from orchestrator.adapters.s3.object_store import MinioObjectStore

    return MinioObjectStore(settings)


def _engine(settings: Settings) -> Engine:
    from orchestrator.adapters.docker.engine import DockerEngine
    from orchestrator.adapters.docker.registry import PullRules

    rules = PullRules(settings.pull_timeout, settings.pull_max, settings.registries_allowed, settings.image_ttl)
    ahead = PullPolicy.NEVER if settings.pull_policy is PullPolicy.NEVER else PullPolicy.MISSING
    return DockerEngine(settings.docker_host, pull_rules=rules, pull_ahead=ahead)


def _lock(settings: Settings) -> SharedLock:
    from orchestrator.adapters.redis.lock import RedisLock

    return RedisLock(settings)


def _check_mongo(settings: Settings) -> None:
    from orchestrator.adapters.mongo import client

    client.check_mongo(settings)


def _check_redis(settings: Settings) -> None:
    from orchestrator.adapters.redis import client

    client.check_redis(settings)


def _check_s3(settings: Settings) -> None:
    from orchestrator.adapters.s3 import client

    client.minio_client(settings)


def expect_new_engine(settings: Settings) -> None:
    """Ask the engine for its version, for some seconds at most. Raises SettingsError if it is too old."""
    from orchestrator.adapters.docker import client

    client.expect_new_enough(settings.docker_host)


def _check_docker(settings: Settings) -> None:
    from orchestrator.adapters.docker import client

    client.check(settings.docker_host)


_CHECKS: dict[Server, Callable[[Settings], None]] = {
    Server.MONGODB: _check_mongo,
    Server.REDIS: _check_redis,
    Server.S3: _check_s3,
    Server.DOCKER: _check_docker,
}
