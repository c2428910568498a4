"""Live output, as one stream of Redis for each task. Knows the keys and entries, but not their use."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, cast

from orchestrator.adapters.redis.client import async_redis_client, redis_client, redis_errors
from orchestrator.ports import LiveEntry, Piece, Stream
from orchestrator.settings.settings import Settings
from orchestrator.task.event import Event

KEEP = 3600
"""Seconds that entries stay after the last entry."""
KEEP_ENDED = 300
"""Seconds that entries stay after the task's last event: from then on all output is stored."""
EVENT = "event"
_APPEND = """
local attempt = tonumber(ARGV[1])
local known = tonumber(redis.call('HGET', KEYS[2], 'attempt') or '0')
if attempt < known then return 0 end
if attempt > known then
  redis.call('HDEL', KEYS[2], 'end:stdout', 'end:stderr')
  redis.call('HSET', KEYS[2], 'attempt', attempt)
end
for i = 4, #ARGV, 3 do
  local stream, offset, data = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  redis.call('XADD', KEYS[1], '*', 'attempt', attempt, 'stream', stream, 'offset', offset, 'data', data)
  redis.call('HINCRBY', KEYS[2], 'size:' .. stream, #data)
  redis.call('HSET', KEYS[2], 'end:' .. stream, tonumber(offset) + #data)
end
local function over()
  local sizes = redis.call('HMGET', KEYS[2], 'size:stdout', 'size:stderr')
  return tonumber(sizes[1] or '0') > tonumber(ARGV[2]) or tonumber(sizes[2] or '0') > tonumber(ARGV[2])
end
while over() do
  local oldest = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
  if not oldest then
    redis.call('HDEL', KEYS[2], 'size:stdout', 'size:stderr')
    break
  end
  local fields = oldest[2]
  if fields[1] == 'attempt' then redis.call('HINCRBY', KEYS[2], 'size:' .. fields[4], -#fields[8]) end
  redis.call('XDEL', KEYS[1], oldest[1])
end
redis.call('EXPIRE', KEYS[1], ARGV[3])
redis.call('EXPIRE', KEYS[2], ARGV[3])
return 1
"""
"""Adds the pieces of one attempt, notes where each stream ends, and drops the oldest entries beyond the limit."""
_OPEN = """
if redis.call('EXISTS', KEYS[1]) == 0 then redis.call('XADD', KEYS[1], '*', 'followed', '1') end
if redis.call('TTL', KEYS[1]) < tonumber(ARGV[1]) / 2 then redis.call('EXPIRE', KEYS[1], ARGV[1]) end
"""
"""Makes the stream of a task without output, so that the bus puts the task's events into it."""


class RedisLiveOutput:
    """The LiveOutput on Redis. ``idle``, in seconds, is the longest wait of a follower before it yields None."""

    def __init__(self, settings: Settings, idle: float = 1.0) -> None:
        self._redis = redis_client(settings)
        self._append = self._redis.register_script(_APPEND)
        self._open = self._redis.register_script(_OPEN)
        self._idle = idle

    def close(self) -> None:
        """Close the idle connections."""
        self._redis.close()

    def append(self, deployment: str, pieces: Mapping[str, Sequence[Piece]], limit: int) -> None:
        """One script for each attempt, all in one round trip."""
        with redis_errors(), self._redis.pipeline(transaction=False) as pipeline:
            for task_id, of_task in pieces.items():
                for attempt in sorted({piece.attempt for piece in of_task}):
                    said: list[Any] = [attempt, limit, KEEP]
                    for piece in of_task:
                        if piece.attempt == attempt:
                            said += [piece.stream.value, piece.offset, piece.data]
                    self._append(
                        keys=[live_key(deployment, task_id), ends_key(deployment, task_id)], args=said, client=pipeline
                    )
            pipeline.execute()

    def ends(self, deployment: str, task_id: str, attempt: int) -> Mapping[Stream, int]:
        """The values that the script has noted."""
        names = ["attempt", *(f"end:{stream.value}" for stream in Stream)]
        with redis_errors():
            of_attempt, *ends = self._redis.hmget(ends_key(deployment, task_id), names)
        if of_attempt is None or int(of_attempt) != attempt:
            return {}
        return {stream: int(end) for stream, end in zip(Stream, ends, strict=True) if end is not None}

    @contextmanager
    def follow(self, deployment: str, task_id: str) -> Iterator[Iterator[LiveEntry | None]]:
        """From the oldest entry on, on one connection, which returns to the pool between two reads."""
        key = live_key(deployment, task_id)
        with redis_errors():
            self._open(keys=[key], args=[KEEP])
        yield self._entries(key)

    def _entries(self, key: str) -> Iterator[LiveEntry | None]:
        last: bytes = b"0"
        while True:
            entries = self._read(key, last)
            for entry_id, fields in entries:
                last = entry_id
                if (entry := _parsed(fields)) is not None:
                    yield entry
            if not entries:
                with redis_errors():
                    self._open(keys=[key], args=[KEEP])  # a Redis that came back empty has forgotten the followers
                yield None

    def _read(self, key: str, last: bytes) -> list[tuple[bytes, dict[bytes, bytes]]]:
        with redis_errors():
            found = cast("Any", self._redis.xread({key: last}, block=round(self._idle * 1000), count=_COUNT))
        return found[0][1] if found else []


class AsyncRedisLiveOutput:
    """Following for asyncio; ``idle`` as there."""

    def __init__(self, settings: Settings, idle: float = 1.0) -> None:
        self._redis = async_redis_client(settings)
        self._open = self._redis.register_script(_OPEN)
        self._idle = idle

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    async def follow(self, deployment: str, task_id: str) -> AsyncIterator[LiveEntry | None]:
        """The entries that are there and those that come, as of the other one; the first thing is None, once it follows."""
        key, last = live_key(deployment, task_id), b"0"
        entries: list[tuple[bytes, dict[bytes, bytes]]] = []
        while True:
            with redis_errors():
                if not entries:
                    await cast("Any", self._open(keys=[key], args=[KEEP]))
            if not entries:
                yield None
            with redis_errors():
                found = cast("Any", await self._redis.xread({key: last}, block=round(self._idle * 1000), count=_COUNT))
            entries = found[0][1] if found else []
            for entry_id, fields in entries:
                last = entry_id
                if (entry := _parsed(fields)) is not None:
                    yield entry


_COUNT = 16
"""Entries in one answer: 1 MiB at most."""


def live_key(deployment: str, task_id: str) -> str:
    """The stream of a task."""
    return f"orchestrator:live:{deployment}:{task_id}"


def ends_key(deployment: str, task_id: str) -> str:
    """The key with the end of each sent stream of the task's attempt."""
    return f"orchestrator:live-ends:{deployment}:{task_id}"


def _parsed(fields: Mapping[bytes, bytes]) -> LiveEntry | None:
    """The entry; None if it is neither an event nor a piece of output."""
    try:
        if (event := fields.get(EVENT.encode())) is not None:
            return Event.from_json(event)
        attempt, stream, offset = int(fields[b"attempt"]), Stream(fields[b"stream"].decode()), int(fields[b"offset"])
        return Piece(attempt, stream, offset, fields[b"data"])
    except (ValueError, KeyError, TypeError):
        return None
