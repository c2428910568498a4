"""Events over Redis Pub/Sub. Knows the channels and the wire form, not what an event is about."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import aclosing, closing, contextmanager
from typing import Any, cast

from redis.client import Pipeline, PubSub

from orchestrator.adapters.redis.client import async_redis_client, redis_client, redis_errors
from orchestrator.adapters.redis.live_output import EVENT, KEEP_ENDED, ends_key, live_key, points_key
from orchestrator.errors import InfrastructureError
from orchestrator.settings.settings import Settings
from orchestrator.task.event import Event

_ALL = "tasks"
_ENTERING = 5
_REMEMBERED = 3600
"""Seconds for which Redis knows the last event of a task. A worker that is frozen for longer has lost its lease by then."""
_PUBLISH = """
local last = redis.call('GET', KEYS[1])
if last then
  local nonce, seq = string.match(last, '^(.*) (%d+)$')
  if tonumber(ARGV[2]) < tonumber(seq) and (ARGV[1] == '' or ARGV[1] == nonce) then return 0 end
end
redis.call('SET', KEYS[1], ARGV[1] .. ' ' .. ARGV[2], 'EX', ARGV[3])
redis.call('PUBLISH', ARGV[4], ARGV[6])
redis.call('PUBLISH', ARGV[5], ARGV[6])
if ARGV[2] == '0' then
  redis.call('DEL', KEYS[2], KEYS[3], KEYS[4])
elseif redis.call('EXISTS', KEYS[2]) == 1 then
  redis.call('XADD', KEYS[2], '*', ARGV[7], ARGV[6])
  if ARGV[8] == '1' then redis.call('EXPIRE', KEYS[2], ARGV[9]) end
end
if ARGV[8] == '1' then redis.call('EXPIRE', KEYS[4], ARGV[9]) end
return 1
"""
"""Compares and publishes in one step, in which no worker can be frozen.

It also adds the event to the stream of the task's output. A new task has no output, so existing entries belong to an earlier
task of this id.
"""


class RedisEventBus:
    """The EventBus on Redis. ``idle``, in seconds, is the longest wait of a subscriber before it yields None."""

    def __init__(self, settings: Settings, idle: float = 1.0) -> None:
        self._redis = redis_client(settings)
        self._publish = self._redis.register_script(_PUBLISH)
        self._idle = idle

    def close(self) -> None:
        """Close the idle connections; subscriptions continue."""
        self._redis.close()

    def publish(self, event: Event) -> None:
        """Send to both channels in one round trip."""
        keys, said = _publication(event)
        with redis_errors():
            self._publish(keys=keys, args=said)

    def add(self, pipeline: Pipeline, events: Sequence[Event]) -> None:
        """Add the publication of each event to a pipeline.

        It loads the script, because the library would ask first whether the server has it.
        """
        pipeline.execute_command("SCRIPT LOAD", _PUBLISH)  # type: ignore[no-untyped-call]
        for event in events:
            keys, said = _publication(event)
            pipeline.evalsha(self._publish.sha, len(keys), *keys, *said)

    @contextmanager
    def subscribe(self, task_id: str | None) -> Iterator[Iterator[Event | None]]:
        """A separate connection that subscribes again after a reconnect. Events that were sent in between are lost."""
        with closing(self._pubsub()) as pubsub:
            with redis_errors():
                pubsub.subscribe(_ALL if task_id is None else _channel(task_id))
                _await_confirmation(pubsub)
            yield self._events(pubsub)

    def _pubsub(self) -> PubSub:
        return self._redis.pubsub()  # type: ignore[no-untyped-call,no-any-return]

    def _events(self, pubsub: PubSub) -> Iterator[Event | None]:
        while True:
            with redis_errors():
                message = pubsub.get_message(ignore_subscribe_messages=True, timeout=self._idle)
            if message is None or message["type"] != "message":
                yield None
            elif (event := _parsed(message["data"])) is not None:
                yield event


class AsyncRedisEvents:
    """The events of all tasks for asyncio, over one connection."""

    def __init__(self, settings: Settings) -> None:
        self._redis = async_redis_client(settings)

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    async def listen(self) -> AsyncIterator[Event | None]:
        """The events; None once they arrive. A connection that is lost raises, for what was sent meanwhile is lost."""
        async with aclosing(cast("Any", self._redis.pubsub())) as pubsub:
            with redis_errors():
                await pubsub.subscribe(_ALL)
            while True:
                with redis_errors():
                    message = await pubsub.get_message(timeout=_ENTERING)
                if message is not None and message["type"] == "subscribe":
                    yield None
                elif message is not None and (event := _parsed(message["data"])) is not None:
                    yield event


def _publication(event: Event) -> tuple[Sequence[str], Sequence[str | int]]:
    """The keys and the arguments of _PUBLISH for an event."""
    known = f"orchestrator:published:{event.deployment}:{event.task_id}"
    followed = (key(event.deployment, event.task_id) for key in (live_key, ends_key, points_key))
    said = event.nonce, event.seq, _REMEMBERED, _ALL, _channel(event.task_id), event.to_json()
    return (known, *followed), (*said, EVENT, int(event.is_last), KEEP_ENDED)


def _channel(task_id: str) -> str:
    return f"{_ALL}:{task_id}"


def _await_confirmation(pubsub: PubSub) -> None:
    if pubsub.get_message(timeout=_ENTERING) is None:
        raise InfrastructureError("redis", f"a subscription was not confirmed within {_ENTERING} s")


def _parsed(data: bytes) -> Event | None:
    """None for a message that is not an event: any program may publish on these channels."""
    try:
        return Event.from_json(data)
    except (ValueError, KeyError, TypeError):
        return None
