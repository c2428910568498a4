"""Chooses the adapters: the one place where settings become services."""

from orchestrator.adapters import clients
from orchestrator.adapters.docker import client as docker_client
from orchestrator.adapters.docker.engine import DockerEngine
from orchestrator.adapters.docker.registry import PullRules
from orchestrator.adapters.mongo.task_store import MongoTaskStore
from orchestrator.adapters.redis.event_bus import RedisEventBus
from orchestrator.adapters.redis.lock import RedisLock
from orchestrator.adapters.redis.queue import RqQueue
from orchestrator.adapters.s3.object_store import MinioObjectStore
from orchestrator.app import Services
from orchestrator.errors import SettingsError
from orchestrator.settings.settings import Settings


def connect(settings: Settings, *, engine: bool = True) -> Services:
    """The real services. Nothing is connected before it is used. Raises SettingsError as ``check`` does."""
    check(settings, engine=engine)
    store, events, queue, lock = MongoTaskStore(settings), RedisEventBus(settings), RqQueue(settings), RedisLock(settings)
    logs, docker = MinioObjectStore(settings), DockerEngine(settings.docker_host, pull_rules=_pull_rules(settings))
    closing = (store.close, events.close, queue.close, lock.close, logs.close, docker.close)
    return Services(settings, store=store, events=events, queue=queue, logs=logs, engine=docker, lock=lock, closing=closing)


def check(settings: Settings, *, engine: bool = True) -> None:
    """Have each library read its settings, without a connection; that of Docker only if ``engine``, because it will be used.

    Raises SettingsError that names every one that is refused.
    """
    complaints = []
    servers = (clients.check_mongo, clients.check_redis, clients.minio_client)
    for read in (*servers, _check_docker) if engine else servers:
        try:
            read(settings)
        except SettingsError as error:
            complaints.append(str(error))
    if complaints:
        raise SettingsError("\n".join(complaints))


def _check_docker(settings: Settings) -> None:
    docker_client.check(settings.docker_host)


def _pull_rules(settings: Settings) -> PullRules:
    return PullRules(settings.pull_timeout, settings.pull_max, settings.registries_allowed, settings.image_ttl)
