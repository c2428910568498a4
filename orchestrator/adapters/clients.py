"""Clients of MongoDB, Redis and S3 with bounded waits. Knows how each library is told so; knows no port."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any, Generic, TypeVar
from urllib.parse import parse_qsl

import urllib3
from bson.codec_options import TypeDecoder, TypeRegistry
from bson.decimal128 import Decimal128
from minio import Minio
from pymongo import MongoClient
from pymongo.errors import ConfigurationError
from pymongo.uri_parser import split_options
from redis import Redis, RedisError
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry

from orchestrator.errors import InfrastructureError, SettingsError
from orchestrator.settings.settings import Settings
from orchestrator.urls import split

T = TypeVar("T")
Mongo = MongoClient[Mapping[str, Any]]
_MONGO_MS: Mapping[str, Any] = {"timeoutMS": 5000, "connectTimeoutMS": 3000}
_LASTING: Mapping[str, Any] = {"w": "majority", "journal": True, "readConcernLevel": "majority"}
"""A failover undoes no write that was confirmed, and none that was read."""


class _Decimals(TypeDecoder):
    """Reads Decimal128, in which some drivers store every number, as the number that other drivers would have stored."""

    bson_type = Decimal128

    def transform_bson(self, value: Decimal128) -> int | float:
        """An integer if it is whole and BSON has room for it, otherwise the nearest double."""
        number = value.to_decimal()
        if number.is_nan():
            return float("nan")
        whole = abs(number) < 1 << 63 and number == number.to_integral_value()
        return int(number) if whole else float(number)


class PerProcess(Generic[T]):
    """A client made on first use in each process: neither pymongo nor urllib3 survives the fork of RQ's stock worker."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._made: dict[int, T] = {}

    def __call__(self) -> T:
        """The client of this process. Of two threads that race here one is kept; the other was never connected."""
        pid = os.getpid()
        if pid not in self._made:
            self._made.setdefault(pid, self._make())
        return self._made[pid]

    def dropped(self) -> T | None:
        """The client of this process, for its last use, or None when there is none; the next call makes a new one."""
        return self._made.pop(os.getpid(), None)


def mongo_client(settings: Settings) -> Mongo:
    """Connects on first use; a call ends within 5 s; datetimes have a time zone. Raises SettingsError on a bad URI.

    Time limits that the URI names take the place of these, for a server that is slow or far away. Nothing takes the place of
    the majority and the journal for which each write waits, nor of the majority that has what is read.
    One document with a date or a text that Python cannot have must not hide all others, hence it is read as the nearest one.
    """
    try:
        return MongoClient(
            settings.mongo_uri,
            tz_aware=True,
            datetime_conversion="DATETIME_CLAMP",
            unicode_decode_error_handler="replace",
            uuidRepresentation="unspecified",
            type_registry=TypeRegistry([_Decimals()]),
            connect=False,
            **_LASTING,
            **{name: limit for name, limit in _MONGO_MS.items() if name.casefold() not in _named(settings.mongo_uri)},
        )
    except OSError:
        raise SettingsError("MONGO_URI: a file that the given value names cannot be read") from None
    except (ConfigurationError, ValueError):
        raise SettingsError("MONGO_URI: the given value is not a URI such as mongodb://host:27017") from None


def check_mongo(settings: Settings) -> None:
    """Have the library read the URI, without a connection. An option that it would leave out with a warning is an error here.

    What it warns of besides is no fault of the URI. Raises SettingsError.
    """
    url = split(settings.mongo_uri)
    for option in url.query.split("&") if url else ():
        if "=" in option and not _is_usable(option):
            name = option.partition("=")[0]
            raise SettingsError(f"MONGO_URI: the given value has the option {name} with a value that cannot be used")
    mongo_client(settings).close()


def _is_usable(option: str) -> bool:
    """Whether the library takes an option, as it is written. A file that it cannot read is told of when it makes a client."""
    try:
        split_options(option, warn=False)
    except OSError:
        return True
    except (ConfigurationError, TypeError, ValueError):
        return False
    return True


def _named(uri: str) -> frozenset[str]:
    """The options in a URI, in lower case."""
    parts = split(uri)
    return frozenset(name.casefold() for name, _ in parse_qsl(parts.query)) if parts else frozenset()


def redis_client(settings: Settings) -> Redis:
    """Connects on first use; a command is tried again for about a second while the server refuses or drops connections.

    A silent server is waited for once, 5 s: attempts nest in redis-py, so more would take minutes. Raises SettingsError.
    """
    retry = Retry(ExponentialWithJitterBackoff(base=0.1, cap=1.0), 3, supported_errors=(RedisConnectionError,))
    try:
        return Redis.from_url(
            settings.redis_url, retry=retry, socket_connect_timeout=3, socket_timeout=5, health_check_interval=15
        )
    except ValueError:
        raise SettingsError("REDIS_URL: the given value is not a URL such as redis://host:6379/0") from None


def check_redis(settings: Settings) -> None:
    """Have the library read the URL and make a connection that it does not open. Raises SettingsError."""
    with closing(redis_client(settings)) as client:
        try:
            client.connection_pool.make_connection()
        except (TypeError, ValueError, RedisError):
            raise SettingsError("REDIS_URL: the given value has an option that cannot be used for this URL") from None
        given = client.connection_pool.connection_kwargs
    for option in ("ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile"):
        if option in given and not os.access(given[option], os.R_OK):
            raise SettingsError(f"REDIS_URL: the file that {option} names in the given value cannot be read")


def minio_client(settings: Settings) -> Minio:
    """A request is tried three times, with 5 s to connect; a silent server is waited for once, 15 s.

    Raises SettingsError on a bad endpoint.
    """
    retries = urllib3.Retry(total=2, read=0, backoff_factor=0.2, status_forcelist=(500, 502, 503, 504))
    pool = urllib3.PoolManager(timeout=urllib3.Timeout(connect=5, read=15), retries=retries, maxsize=10)
    try:
        return Minio(
            settings.minio_endpoint,
            settings.minio_access_key,
            settings.minio_secret_key,
            region=settings.minio_region,
            secure=settings.minio_use_ssl,
            http_client=pool,
        )
    except ValueError as error:
        raise SettingsError(f"MINIO_ENDPOINT: {error}") from None


@contextmanager
def redis_errors() -> Iterator[None]:
    """Turns what redis-py raises into InfrastructureError."""
    try:
        yield
    except RedisError as error:
        raise InfrastructureError("redis", str(error)) from error
