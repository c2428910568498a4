"""A lock in Redis, with redis-py's own lock. It belongs to the process that set it, and expires by Redis's clock."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from redis.exceptions import LockError
from redis.lock import Lock

from orchestrator.adapters.redis.client import redis_client, redis_errors
from orchestrator.settings.settings import Settings


class RedisLock:
    """The SharedLock on Redis."""

    def __init__(self, settings: Settings) -> None:
        self._redis = redis_client(settings)

    def close(self) -> None:
        """Close the idle connections."""
        self._redis.close()

    @contextmanager
    def hold(self, name: str, ttl: float) -> Iterator[bool]:
        """Try once. The lock is released at the end, unless it has expired."""
        lock = self._redis.lock(f"orchestrator:{name}", timeout=ttl, blocking=False)
        with redis_errors():
            held = bool(lock.acquire())
        try:
            yield held
        finally:
            if held:
                self._give_back(lock)

    @staticmethod
    def _give_back(lock: Lock) -> None:
        with redis_errors(), suppress(LockError):
            lock.release()
