"""Chooses the adapters: the one place where settings become services."""

from orchestrator.adapters.docker_engine import DockerEngine
from orchestrator.adapters.docker_registry import PullRules
from orchestrator.adapters.minio_logs import MinioLogStore
from orchestrator.adapters.mongo import MongoTaskStore
from orchestrator.adapters.redis_events import RedisEventBus
from orchestrator.adapters.redis_mutex import RedisMutex
from orchestrator.adapters.rq_queue import RqQueue
from orchestrator.services import Services
from orchestrator.settings import Settings


def connect(settings: Settings) -> Services:
    """The real services. Nothing is connected before it is used."""
    return Services(
        settings,
        store=MongoTaskStore(settings),
        events=RedisEventBus(settings),
        queue=RqQueue(settings),
        logs=MinioLogStore(settings),
        engine=DockerEngine(settings.docker_host, pull_rules=_pull_rules(settings)),
        mutex=RedisMutex(settings),
    )


def _pull_rules(settings: Settings) -> PullRules:
    return PullRules(settings.pull_timeout, settings.pull_max, settings.registries_allowed)
