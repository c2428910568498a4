"""The versions of the engine and the servers, as each reports its own.

A server that is away is named, and does not delay the others.
"""

from collections.abc import Callable, Iterator
from contextlib import closing

import docker
import pymongo
import urllib3
from docker.errors import DockerException
from pymongo.errors import PyMongoError
from redis import Redis, RedisError
from redis.backoff import NoBackoff
from redis.retry import Retry
from requests import RequestException

from orchestrator.adapters.mongo.client import mongo_client
from orchestrator.doctor.finding import reason
from orchestrator.errors import OrchestratorError
from orchestrator.settings.settings import Settings
from orchestrator.urls import place

_SECONDS = 3
_AWAY = (
    DockerException,
    RequestException,
    PyMongoError,
    RedisError,
    urllib3.exceptions.HTTPError,
    OrchestratorError,
    ValueError,
    OSError,
)


def versions(settings: Settings) -> Iterator[tuple[str, str]]:
    """The name of each with its version, or with a sentence if it does not answer within some seconds."""
    asked: dict[str, tuple[str, Callable[[Settings], str]]] = {
        "Docker engine": (settings.docker_host, _engine),
        "MongoDB": (place(settings.mongo_uri), _mongo),
        "Redis": (place(settings.redis_url), _redis),
        "object storage": (settings.minio_endpoint, _storage),
    }
    for name, (where, ask) in asked.items():
        try:
            yield name, ask(settings)
        except _AWAY as error:
            yield name, f"does not answer at {where}: {reason(error)}"


def _engine(settings: Settings) -> str:
    with closing(docker.DockerClient(base_url=settings.docker_host, timeout=_SECONDS)) as client:
        found = client.version()
    return f"{found.get('Version', 'unknown')}, API {found.get('ApiVersion', 'unknown')}"


def _mongo(settings: Settings) -> str:
    with mongo_client(settings) as client, pymongo.timeout(_SECONDS):
        return str(client.server_info()["version"])


def _redis(settings: Settings) -> str:
    """Valkey reports its equivalent version of Redis, and its own."""
    once, limits = Retry(NoBackoff(), 0), {"socket_timeout": _SECONDS, "socket_connect_timeout": _SECONDS}
    with Redis.from_url(settings.redis_url, retry=once, **limits) as client:
        found = client.info("server")
    own = f", Valkey {found['valkey_version']}" if "valkey_version" in found else ""
    return f"{found['redis_version']}{own}"


def _storage(settings: Settings) -> str:
    """The server that its answers name. S3 has no request for the version."""
    scheme = "https" if settings.minio_use_ssl else "http"
    with urllib3.PoolManager(timeout=_SECONDS, retries=False) as pool:
        answer = pool.request("HEAD", f"{scheme}://{settings.minio_endpoint}/", redirect=False)
    return answer.headers.get("Server") or "answers, and does not tell its version"
