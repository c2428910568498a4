"""Chooses the adapters: the one place where settings become services."""

from orchestrator.adapters.docker_engine import DockerEngine
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
        engine=DockerEngine(settings.docker_host),
        mutex=RedisMutex(settings),
    )
