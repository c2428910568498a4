"""A corner of the real servers for one test: a database, a Redis key space, a queue and a bucket of its own."""

import itertools
import uuid
from collections.abc import Iterable, Iterator, Mapping

import pytest
from attrs import frozen
from minio.deleteobjects import DeleteObject

from orchestrator.adapters.mongo.client import mongo_client
from orchestrator.adapters.redis.client import redis_client
from orchestrator.adapters.s3.client import minio_client
from orchestrator.embedded.interpreter import interpreter
from orchestrator.errors import InfrastructureError
from orchestrator.settings.settings import Settings
from tests.support import pace

REDIS_DATABASES = 16
_SERVERS = {"servers", "own_servers"}
"""The fixtures that run them."""


@frozen
class Corner:
    """``environment`` is what a process needs to work there; Pub/Sub channels alone are shared by the whole of Redis."""

    environment: Mapping[str, str]

    @property
    def settings(self) -> Settings:
        """The settings of a process that has this environment."""
        return Settings.load(self.environment)

    def wipe(self) -> None:
        """Remove everything in it."""
        settings = self.settings
        with mongo_client(settings) as mongo, redis_client(settings) as redis:
            mongo.drop_database(settings.mongo_db_name)
            redis.flushdb()
        self._remove_bucket(settings)

    @staticmethod
    def _remove_bucket(settings: Settings) -> None:
        s3, bucket = minio_client(settings), settings.minio_bucket
        if s3.bucket_exists(bucket):
            objects = [DeleteObject(found.object_name) for found in s3.list_objects(bucket, recursive=True)]
            assert list(s3.remove_objects(bucket, objects)) == []
            s3.remove_bucket(bucket)


def need(items: Iterable[pytest.Item]) -> None:
    """Raise UsageError, with what to install, when a test needs the embedded servers and this machine cannot run them."""
    if all(_SERVERS.isdisjoint(getattr(item, "fixturenames", ())) for item in items):
        return
    try:
        interpreter()
    except InfrastructureError as reason:
        raise pytest.UsageError(f"the tests need embedded servers, other ones do not do; {reason}") from None


def corners(environment: Mapping[str, str]) -> Iterator[Corner]:
    """One corner after another on the servers that ``environment`` points to."""
    for number in itertools.count():
        name = f"test-{uuid.uuid4().hex[:12]}"
        redis_url = f"{environment['REDIS_URL'].rpartition('/')[0]}/{number % REDIS_DATABASES}"
        places = _patient({"REDIS_URL": redis_url, "MONGO_URI": environment["MONGO_URI"]})
        yield Corner({**environment, **places, "MONGO_DB_NAME": name, "MINIO_BUCKET": name, "QUEUE": name})


def _patient(places: Mapping[str, str]) -> Mapping[str, str]:
    """With the product's time limits as they are on a usual machine, and multiples of them on a slow one."""
    if pace.slowness() == 1:
        return places
    call, connection = pace.seconds(5), pace.seconds(3)
    options = {
        "REDIS_URL": f"?socket_timeout={call}&socket_connect_timeout={connection}",
        "MONGO_URI": f"&timeoutMS={call * 1000:.0f}&connectTimeoutMS={connection * 1000:.0f}",
    }
    return {name: place + options[name] for name, place in places.items()}
