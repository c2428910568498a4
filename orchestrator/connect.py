"""Chooses the adapters: the one place where settings become services."""

from orchestrator.adapters import clients, docker_client
from orchestrator.adapters.docker_engine import DockerEngine
from orchestrator.adapters.docker_registry import PullRules
from orchestrator.adapters.minio_logs import MinioLogStore
from orchestrator.adapters.mongo import MongoTaskStore
from orchestrator.adapters.redis_events import RedisEventBus
from orchestrator.adapters.redis_mutex import RedisMutex
from orchestrator.adapters.rq_queue import RqQueue
from orchestrator.errors import SettingsError
from orchestrator.services import Services
from orchestrator.settings import Settings


def connect(settings: Settings) -> Services:
    """The real services. Nothing is connected before it is used. Raises SettingsError as ``check`` does."""
    check(settings)
    return Services(
        settings,
        store=MongoTaskStore(settings),
        events=RedisEventBus(settings),
        queue=RqQueue(settings),
        logs=MinioLogStore(settings),
        engine=DockerEngine(settings.docker_host, pull_rules=_pull_rules(settings)),
        mutex=RedisMutex(settings),
    )


def check(settings: Settings) -> None:
    """Have each library read its settings, without a connection. Raises SettingsError that names every one it refuses."""
    complaints = []
    for read in (clients.check_mongo, clients.check_redis, clients.minio_client, _check_docker):
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
