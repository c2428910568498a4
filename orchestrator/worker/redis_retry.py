"""The worker's client of Redis, and its retries while Redis is away. It knows no job."""

import errno
import time
from collections.abc import Callable
from typing import TypeVar

from redis import ConnectionError as Unreachable
from redis import Redis, RedisError
from redis import TimeoutError as NoAnswer
from redis.backoff import NoBackoff
from redis.retry import Retry

from orchestrator.log import logger
from orchestrator.retrying import JOBS, LAST_JOBS_SECONDS, LAST_JOBS_TRIES, Failure, Retrier

T = TypeVar("T")
ANSWER_WITHIN = 5
"""Seconds after which a command without a reply counts as failed. No command blocks for so long."""
_AWAY = (RedisError, OSError)
"""The errors of a call without an answer; OSError if this process has no descriptor left for it."""


def connect(url: str) -> Redis:
    """A client for the worker only, connected at its first use. It retries no command: a repeated BLMOVE takes a second job."""
    return Redis.from_url(url, retry=Retry(NoBackoff(), 0), socket_timeout=ANSWER_WITHIN, socket_connect_timeout=2)


class RedisRetry:
    """Calls to Redis that outlast an outage. One line is logged at its begin and one at its end. For use from many threads.

    A lack of descriptors is logged beside an outage: an earlier cut connection would hide it, and only the operator can repair
    it.
    """

    def __init__(self, stopping: Callable[[], bool]) -> None:
        self._stopping = stopping
        self._retrier = Retrier(backoff=JOBS, errors=_AWAY, told=lambda failure: self._lost(failure.error))
        self._lost_at: float | None = None
        self._full = False
        self.outages = 0
        """How often Redis was away."""

    @property
    def is_lost(self) -> bool:
        """Whether Redis has not answered recently."""
        return self._lost_at is not None

    def persist(self, call: Callable[[], T]) -> T | None:
        """The result of ``call``, repeated while Redis is away.

        None if the worker should stop in the meantime, or if Redis refuses: the result of a job must not depend on it.
        """
        try:
            return self._retrier.until(self._enough, self._noting, call)
        except _AWAY as error:
            logger.warning("gave up on Redis: {}", error)
            return None

    def attempt(self, call: Callable[[], T]) -> T | None:
        """The result of ``call``, or None if Redis is away or refuses. For calls that are repeated later anyway."""
        try:
            return self._noting(call)
        except _AWAY as error:
            self._lost(error)
            return None

    def _noting(self, call: Callable[[], T]) -> T:
        result = call()
        if (lost_at := self._lost_at) is not None:
            self._lost_at, self._full = None, False
            logger.info("Redis answers again after {:.1f} s", time.monotonic() - lost_at)
        return result

    def _lost(self, error: BaseException | None) -> None:
        if self._lost_at is None:
            self._lost_at = time.monotonic()
            self.outages += 1
            logger.warning("Redis does not answer correctly, trying again: {}", error)
        if _no_descriptor(error) and not self._full:
            self._full = True
            logger.warning("no descriptor is left for a connection to Redis, trying again; raise `ulimit -n`: {}", error)

    def _enough(self, failure: Failure) -> bool:
        hopeless = self._stopping() or not isinstance(failure.error, Unreachable | NoAnswer | OSError)
        return hopeless and (failure.tries >= LAST_JOBS_TRIES or failure.seconds > LAST_JOBS_SECONDS)


def _no_descriptor(error: BaseException | None) -> bool:
    """Whether this process or its host has no descriptor left.

    The client's own errors have the system's error as their context.
    """
    while error is not None:
        if isinstance(error, OSError) and error.errno in {errno.EMFILE, errno.ENFILE}:
            return True
        error = error.__context__
    return False
