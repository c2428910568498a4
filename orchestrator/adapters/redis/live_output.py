"""Live output, as one stream of Redis for each task. Knows the keys and entries, but not their use."""

import json
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, cast

from attrs import asdict
from redis.client import Pipeline

from orchestrator.adapters.redis.client import async_redis_client, redis_client, redis_errors
from orchestrator.ports import POINTS, LiveEntry, Piece, Point, Stream
from orchestrator.settings.settings import Settings
from orchestrator.task.event import Event

KEEP = 3600
"""Seconds that entries stay after the last entry."""
KEEP_ENDED = 300
"""Seconds that entries stay after the task's last event: from then on all output is stored."""
EVENT = "event"
_POINT = "point"
Places = dict[bytes, bytes]
"""How far a follower has read each stream."""
Answer = list[tuple[bytes, list[tuple[bytes, dict[bytes, bytes]]]]]
"""What Redis has of the streams."""
_APPEND = """
local attempt = tonumber(ARGV[1])
if redis.call('EXISTS', KEYS[2]) == 0 then
  for _, entry in ipairs(redis.call('XRANGE', KEYS[1], '-', '+')) do
    local fields = entry[2]
    if fields[1] == 'attempt' and fields[8] then redis.call('HINCRBY', KEYS[2], 'size:' .. fields[4], #fields[8]) end
  end
end
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
  if fields[1] == 'attempt' and fields[8] then redis.call('HINCRBY', KEYS[2], 'size:' .. fields[4], -#fields[8]) end
  redis.call('XDEL', KEYS[1], oldest[1])
end
redis.call('EXPIRE', KEYS[1], ARGV[3])
redis.call('EXPIRE', KEYS[2], ARGV[3])
return 1
"""
"""Adds the pieces of one attempt, notes where each stream ends, and drops the oldest entries beyond the limit.

A follower keeps the entries for longer than the notes, which then are made from them.
"""
OPEN = """
if redis.call('EXISTS', KEYS[1]) == 0 then redis.call('XADD', KEYS[1], '*', 'followed', '1') end
if redis.call('TTL', KEYS[1]) < tonumber(ARGV[1]) / 2 then redis.call('EXPIRE', KEYS[1], ARGV[1]) end
"""
"""Makes the stream of a task without output, so that the bus puts the task's events into it."""


class RedisLiveOutput:
    """The LiveOutput on Redis. ``idle``, in seconds, is the longest wait of a follower before it yields None."""

    def __init__(self, settings: Settings, idle: float = 1.0) -> None:
        self._redis = redis_client(settings)
        self._append = self._redis.register_script(_APPEND)
        self._open = self._redis.register_script(OPEN)
        self._idle = idle

    def close(self) -> None:
        """Close the idle connections."""
        self._redis.close()

    def append(self, deployment: str, entries: Mapping[str, Sequence[Piece | Point]], limit: int) -> None:
        """One script for each attempt, and a stream of its own for points, all in one round trip."""
        with redis_errors(), self._redis.pipeline(transaction=False) as pipeline:
            for task_id, of_task in entries.items():
                pieces = [entry for entry in of_task if isinstance(entry, Piece)]
                for attempt in sorted({piece.attempt for piece in pieces}):
                    said: list[Any] = [attempt, limit, KEEP]
                    for piece in pieces:
                        if piece.attempt == attempt:
                            said += [piece.stream.value, piece.offset, piece.data]
                    self._append(
                        keys=[live_key(deployment, task_id), ends_key(deployment, task_id)], args=said, client=pipeline
                    )
                if points := [entry for entry in of_task if isinstance(entry, Point)]:
                    _add_points(pipeline, points_key(deployment, task_id), points)
            pipeline.execute()

    def drop(self, deployment: str, task_ids: Collection[str]) -> None:
        """In one command."""
        keys = [key(deployment, task_id) for task_id in task_ids for key in (live_key, ends_key, points_key)]
        if keys:
            with redis_errors():
                self._redis.delete(*keys)

    def latest(self, deployment: str, task_ids: Sequence[str]) -> Mapping[str, Point]:
        """The end of each stream."""
        with redis_errors(), self._redis.pipeline(transaction=False) as pipeline:
            for task_id in task_ids:
                pipeline.xrevrange(points_key(deployment, task_id), count=1)
            found = pipeline.execute()
        last = {task_id: parsed(entries[0][1]) for task_id, entries in zip(task_ids, found, strict=True) if entries}
        return {task_id: point for task_id, point in last.items() if isinstance(point, Point)}

    def ends(self, deployment: str, task_id: str, attempt: int) -> Mapping[Stream, int]:
        """The values that the script has noted."""
        names = ["attempt", *(f"end:{stream.value}" for stream in Stream)]
        with redis_errors():
            of_attempt, *ends = self._redis.hmget(ends_key(deployment, task_id), names)
        if of_attempt is None or int(of_attempt) != attempt:
            return {}
        return {stream: int(end) for stream, end in zip(Stream, ends, strict=True) if end is not None}

    @contextmanager
    def follow(self, deployment: str, task_id: str, *, points: bool = False) -> Iterator[Iterator[LiveEntry | None]]:
        """From the oldest entry on, on one connection, which returns to the pool between two reads."""
        with redis_errors():
            self._open(keys=[live_key(deployment, task_id)], args=[KEEP])
        yield self._entries(live_key(deployment, task_id), places_of(deployment, task_id, points=points))

    def _entries(self, key: str, places: Places) -> Iterator[LiveEntry | None]:
        while True:
            found = self._read(places)
            yield from taken(found, places)
            if not found:
                with redis_errors():
                    self._open(keys=[key], args=[KEEP])  # a Redis that came back empty has forgotten the followers
                yield None

    def _read(self, places: Places) -> Answer:
        with redis_errors():
            return cast("Any", self._redis.xread(cast("Any", places.copy()), block=round(self._idle * 1000), count=COUNT)) or []


class AsyncRedisLiveOutput:
    """Following for asyncio; ``idle`` as there."""

    def __init__(self, settings: Settings, idle: float = 1.0) -> None:
        self._redis = async_redis_client(settings)
        self._open = self._redis.register_script(OPEN)
        self._idle = idle

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    async def follow(self, deployment: str, task_id: str, *, points: bool = False) -> AsyncIterator[LiveEntry | None]:
        """The entries that are there and those that come, as of the other one; the first thing is None, once it follows."""
        places = places_of(deployment, task_id, points=points)
        found: Answer = []
        while True:
            if not found:
                with redis_errors():
                    await cast("Any", self._open(keys=[live_key(deployment, task_id)], args=[KEEP]))
                yield None
            with redis_errors():
                answer = await self._redis.xread(cast("Any", places.copy()), block=round(self._idle * 1000), count=COUNT)
            found = cast("Answer", answer or [])
            for entry in taken(found, places):
                yield entry


COUNT = 16
"""Entries in one answer: 1 MiB at most."""


LIVE = b"orchestrator:live:"


def live_key(deployment: str, task_id: str) -> str:
    """The stream of a task."""
    return f"{LIVE.decode()}{deployment}:{task_id}"


def ends_key(deployment: str, task_id: str) -> str:
    """The key with the end of each sent stream of the task's attempt."""
    return f"orchestrator:live-ends:{deployment}:{task_id}"


def points_key(deployment: str, task_id: str) -> str:
    """The stream of what the task's program used; apart from the output, whose oldest entries would have to go for it."""
    return f"orchestrator:live-points:{deployment}:{task_id}"


def _add_points(pipeline: Pipeline, key: str, points: Sequence[Point]) -> None:
    for point in points:
        pipeline.xadd(key, {_POINT: json.dumps(asdict(point))}, maxlen=POINTS, approximate=True)
    pipeline.expire(key, KEEP)


def places_of(deployment: str, task_id: str, *, points: bool) -> Places:
    """The streams that are read, each from its beginning."""
    keys = [live_key(deployment, task_id), *([points_key(deployment, task_id)] if points else [])]
    return {key.encode(): b"0" for key in keys}


def taken(found: Answer, places: Places) -> Iterator[LiveEntry]:
    """What was read, and note how far."""
    for key, entries in found:
        for entry_id, fields in entries:
            places[key] = entry_id
            if (entry := parsed(fields)) is not None:
                yield entry


def parsed(fields: Mapping[bytes, bytes]) -> LiveEntry | None:
    """The entry; None if it is neither an event, nor a point, nor a piece of output."""
    try:
        if (event := fields.get(EVENT.encode())) is not None:
            return Event.from_json(event)
        if (point := fields.get(_POINT.encode())) is not None:
            return Point(**json.loads(point))
        attempt, stream, offset = int(fields[b"attempt"]), Stream(fields[b"stream"].decode()), int(fields[b"offset"])
        return Piece(attempt, stream, offset, fields[b"data"])
    except (ValueError, KeyError, TypeError):
        return None
