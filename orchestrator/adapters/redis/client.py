"""The client of Redis with limited waits. Knows the options of the library, but no port."""

import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import TypeVar

from redis import Redis, RedisError
from redis.asyncio import Redis as AsyncRedis
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry

from orchestrator.errors import InfrastructureError, SettingsError
from orchestrator.retrying import REDIS_COMMAND
from orchestrator.settings.settings import Settings

T = TypeVar("T")


def redis_client(settings: Settings) -> Redis:
    """Connects at its first use. While the server refuses or drops connections, a command is tried again for about a second.

    A silent server gets one wait of 5 s: attempts nest in redis-py, so more would take minutes. Raises SettingsError.
    """
    return _made(Redis.from_url, Retry, settings)


def async_redis_client(settings: Settings) -> AsyncRedis:
    """The same for asyncio."""
    return _made(AsyncRedis.from_url, AsyncRetry, settings)


def _made(from_url: Callable[..., T], retries: Callable[..., object], settings: Settings) -> T:
    waits = ExponentialWithJitterBackoff(base=REDIS_COMMAND.first, cap=REDIS_COMMAND.most)
    retry = retries(waits, REDIS_COMMAND.repeats, supported_errors=(RedisConnectionError,))
    try:
        return from_url(settings.redis_url, retry=retry, socket_connect_timeout=3, socket_timeout=5, health_check_interval=15)
    except ValueError:
        raise SettingsError("REDIS_URL: the given value is not a URL such as redis://host:6379/0") from None


def check_redis(settings: Settings) -> None:
    """Have the library read the URL and make a connection without opening it. Raises SettingsError."""
    with closing(redis_client(settings)) as client:
        try:
            client.connection_pool.make_connection()
        except (TypeError, ValueError, RedisError):
            raise SettingsError("REDIS_URL: the given value has an option that cannot be used for this URL") from None
        given = client.connection_pool.connection_kwargs
    for option in ("ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile"):
        if option in given and not os.access(given[option], os.R_OK):
            raise SettingsError(f"REDIS_URL: the file that {option} names in the given value cannot be read")


@contextmanager
def redis_errors() -> Iterator[None]:
    """Turn errors of redis-py into InfrastructureError."""
    try:
        yield
    except RedisError as error:
        raise InfrastructureError("redis", str(error)) from error
