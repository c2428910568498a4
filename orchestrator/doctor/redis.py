"""Checks Redis: whether it answers, is new enough, evicts nothing, and delivers events."""

import uuid
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

from redis import Redis, RedisError
from redis.backoff import NoBackoff
from redis.retry import Retry

from orchestrator.adapters.redis.client import redis_client
from orchestrator.adapters.redis.queue import RqQueue
from orchestrator.doctor.finding import Finding, Unfit, at_least, clock, look
from orchestrator.settings.settings import Settings
from orchestrator.urls import place

OLDEST = (6, 2)
_HEARD_WITHIN = 2.0


def ping(settings: Settings, seconds: float) -> None:
    """Ask for an answer within ``seconds``. Raises RedisError, and ValueError for a bad URL."""
    once = Retry(NoBackoff(), 0)
    with Redis.from_url(settings.redis_url, retry=once, socket_timeout=seconds, socket_connect_timeout=seconds) as client:
        client.ping()


def check(settings: Settings) -> Iterator[Finding]:
    """Check the server. Raises SettingsError for a bad URL."""
    where = place(settings.redis_url)
    with redis_client(settings) as client:
        advice = (
            f"start Redis 6.2 or later at {where}, set REDIS_URL (with the password if it wants one), or run `orchestrator up`"
        )
        reached = look("Redis", advice, lambda: f"{where}, version {_version(client)}", RedisError)
        yield reached
        if not reached.ok:
            return
        advice = "set maxmemory-policy to noeviction: a queue entry that is evicted is a task that waits for ever"
        yield look("Redis keeps", advice, lambda: _policy(client), RedisError)
        yield look(
            "Redis events", "allow the user of REDIS_URL to use Pub/Sub on tasks and tasks:*", lambda: _hear(client), RedisError
        )
        advice = "start a worker with these settings: `orchestrator worker`, or `orchestrator up`"
        yield look("queue", advice, lambda: _queue(settings), RedisError)
        yield clock("Redis", lambda: _time(client), RedisError)


def _version(client: Redis) -> str:
    info: Any = client.info("server")
    return at_least(str(info["redis_version"]), OLDEST)


def _policy(client: Redis) -> str:
    info: Any = client.info("memory")
    policy = info.get("maxmemory_policy", "noeviction")
    if info.get("maxmemory") and policy != "noeviction":
        raise Unfit(f"maxmemory-policy is {policy}")
    return "no eviction"


def _hear(client: Redis) -> str:
    channel = f"tasks:doctor-{uuid.uuid4().hex}"
    with client.pubsub() as subscriber:  # type: ignore[no-untyped-call]
        subscriber.subscribe(channel)
        subscriber.get_message(timeout=_HEARD_WITHIN)
        client.publish(channel, "probe")
        if subscriber.get_message(timeout=_HEARD_WITHIN) is None:
            raise Unfit(f"a message was not heard within {_HEARD_WITHIN:g} s")
    return "published and heard"


def _queue(settings: Settings) -> str:
    """The number of workers of the queue, and of jobs that wait in it, including those of other applications."""
    with closing(RqQueue(settings)) as queue:
        workers, depth = queue.workers(), queue.depth()
    return standing(settings.queue, workers, depth.jobs, depth.oldest)


def standing(queue: str, workers: int, waiting: int, oldest: float | None) -> str:
    """The state of the queue. ``oldest`` is the age of its first entry in seconds. Raises Unfit if no worker takes from it."""
    taking = f"{workers or 'no'} worker{'' if workers == 1 else 's'} on queue {queue!r}"
    age = "" if oldest is None else f", the first for {_span(oldest)}"
    waits = f"{waiting} job{' waits' if waiting == 1 else 's wait'}{age}" if waiting else "nothing waits"
    if waiting and not workers:
        raise Unfit(f"{taking}; {waits}")
    return f"{taking}; {waits}"


def _span(seconds: float) -> str:
    size, unit = next((size, unit) for size, unit in ((3600, "h"), (60, "min"), (1, "s")) if seconds >= 2 * size or size == 1)
    return f"{seconds // size:.0f} {unit}"


def _time(client: Redis) -> datetime:
    now: Any = client.time()
    return datetime.fromtimestamp(now[0] + now[1] / 1e6, UTC)
