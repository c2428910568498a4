"""The LiveOutput's contract, in memory and on Redis."""

import threading
import uuid
from collections.abc import Iterator
from contextlib import closing
from itertools import islice

import pytest
from attrs import evolve
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from orchestrator.adapters.redis.client import redis_client
from orchestrator.adapters.redis.live_output import RedisLiveOutput, ends_key, live_key
from orchestrator.ports import EventBus, LiveEntry, LiveOutput, Piece, Point, Stream
from orchestrator.settings.settings import Settings
from orchestrator.task.event import Event
from statemachine import State, Trigger
from tests.contract.test_events import NOON

OURS = "d1"
OUT, ERR = Stream
FIRST = Event.queued("t1", NOON, OURS)
RUNS = Event("t1", 1, Trigger.START, State.QUEUED, State.RUNNING, NOON, deployment=OURS)
LAST = Event("t1", 4, Trigger.UPLOAD, State.UPLOADING, State.SUCCEEDED, NOON, 0, deployment=OURS)
LIMIT = 1 << 20


def _piece(offset: int, data: bytes, stream: Stream = OUT, attempt: int = 1) -> Piece:
    return Piece(attempt, stream, offset, data)


def _seen(live: LiveOutput, task_id: str = "t1", deployment: str = OURS, *, points: bool = False) -> list[LiveEntry]:
    """The entries that a follower finds before it is idle for the first time."""
    with live.follow(deployment, task_id, points=points) as entries:
        return [*_until_idle(entries)]


def _until_idle(entries: Iterator[LiveEntry | None]) -> Iterator[LiveEntry]:
    for entry in entries:
        if entry is None:
            return
        yield entry


def test_pieces_come_as_they_were_added(live: LiveOutput) -> None:
    """Of both streams, whatever bytes they are; each task has its own."""
    pieces = [_piece(0, b"a\0\xff"), _piece(0, b"\x1b[31m", ERR), _piece(3, b"b" * 70_000)]
    live.append(OURS, {"t1": pieces[:2], "t2": [_piece(9, b"other")]}, LIMIT)
    live.append(OURS, {"t1": pieces[2:]}, LIMIT)
    assert (_seen(live), _seen(live, "t2")) == (pieces, [_piece(9, b"other")])
    assert _seen(live, deployment="d2") == []


def test_where_streams_end_is_known(live: LiveOutput) -> None:
    """Of the newest attempt; an earlier one that still writes is not heard."""
    assert live.ends(OURS, "t1", 1) == {}
    live.append(OURS, {"t1": [_piece(0, b"abc"), _piece(3, b"de")]}, LIMIT)
    assert live.ends(OURS, "t1", 1) == {OUT: 5}
    live.append(OURS, {"t1": [_piece(0, b"x", ERR, attempt=2)]}, LIMIT)
    live.append(OURS, {"t1": [_piece(5, b"late")]}, LIMIT)
    assert (live.ends(OURS, "t1", 1), live.ends(OURS, "t1", 2)) == ({}, {ERR: 1})
    assert [piece.data for piece in _seen(live) if isinstance(piece, Piece)] == [b"abc", b"de", b"x"]


@hypothesis_settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sizes=st.lists(st.tuples(st.sampled_from(Stream), st.integers(1, 40)), max_size=30), limit=st.integers(40, 100))
def test_the_oldest_go_beyond_the_limit(live: LiveOutput, sizes: list[tuple[Stream, int]], limit: int) -> None:
    """What stays is the longest end of what was added that has no more of a stream than may be."""
    task_id, added, at = uuid.uuid4().hex, [], dict.fromkeys(Stream, 0)
    for stream, size in sizes:
        added.append(_piece(at[stream], b"x" * size, stream))
        at[stream] += size
    for piece in added:
        live.append(OURS, {task_id: [piece]}, limit)

    def fits(pieces: list[Piece]) -> bool:
        return all(sum(len(piece.data) for piece in pieces if piece.stream is stream) <= limit for stream in Stream)

    expected = next(added[start:] for start in range(len(added) + 1) if fits(added[start:]))
    assert _seen(live, task_id) == expected


def test_events_are_among_the_output(live: LiveOutput, events: EventBus) -> None:
    """In the order in which all of it was sent, also of a task that has written nothing when somebody begins to follow."""
    with live.follow(OURS, "t1") as entries:
        events.publish(RUNS)
        live.append(OURS, {"t1": [_piece(0, b"a")]}, LIMIT)
        events.publish(LAST)
        assert [*islice(entries, 3)] == [RUNS, _piece(0, b"a"), LAST]
    assert _seen(live) == [RUNS, _piece(0, b"a"), LAST]


def test_events_alone_are_not_kept(live: LiveOutput, events: EventBus) -> None:
    """Of a task without output that nobody follows."""
    events.publish(RUNS)
    assert _seen(live) == []


def test_a_new_task_of_the_same_id_begins_with_nothing(live: LiveOutput, events: EventBus) -> None:
    """What another had, which was deleted."""
    live.append(OURS, {"t1": [_piece(0, b"old", attempt=3)]}, LIMIT)
    events.publish(FIRST)
    assert _seen(live) == []
    live.append(OURS, {"t1": [_piece(0, b"new")]}, LIMIT)
    assert (_seen(live), live.ends(OURS, "t1", 1)) == ([_piece(0, b"new")], {OUT: 3})


def test_a_new_task_of_an_id_that_was_used_begins_with_nothing(live: LiveOutput, events: EventBus) -> None:
    """The bus still knows the last event of the earlier one. What comes late of the new one's begin takes nothing away."""
    live.append(OURS, {"t1": [_piece(0, b"old")]}, LIMIT)
    events.publish(evolve(LAST, nonce="one"))
    events.publish(evolve(FIRST, nonce="two"))
    assert _seen(live) == []
    events.publish(evolve(RUNS, nonce="two"))
    live.append(OURS, {"t1": [_piece(0, b"new")]}, LIMIT)
    events.publish(evolve(FIRST, nonce="two"))
    assert (_seen(live), live.ends(OURS, "t1", 1)) == ([RUNS, _piece(0, b"new")], {OUT: 3})


def test_what_is_dropped_is_followed_no_more(live: LiveOutput) -> None:
    """Output, ends and points of these tasks, and of no others."""
    point = Point(1, 1.0, 50.0, 1000, 1)
    live.append(OURS, {task_id: [_piece(0, b"x"), point] for task_id in ("t1", "t2", "t3")}, LIMIT)
    live.drop(OURS, ["t1", "t2", "nobody"])
    live.drop("d2", ["t3"])
    live.drop(OURS, [])
    assert [*live.latest(OURS, ["t1", "t2", "t3"])] == ["t3"]
    assert [live.ends(OURS, task_id, 1) for task_id in ("t1", "t2", "t3")] == [{}, {}, {OUT: 1}]
    assert [_seen(live, task_id) for task_id in ("t1", "t2", "t3")] == [[], [], [_piece(0, b"x")]]


def test_many_follow_one_task(live: LiveOutput, events: EventBus) -> None:
    """Each sees all of it, those that come late as well."""
    pieces = [_piece(number, b"x") for number in range(50)]
    found: list[list[LiveEntry | None]] = []

    def follow() -> None:
        with live.follow(OURS, "t1") as entries:
            seen = [entry for entry in _until_last(entries) if entry is not None]
            found.append([*seen])

    followers = [threading.Thread(target=follow) for _ in range(8)]
    for number, follower in enumerate(followers):
        follower.start()
        live.append(OURS, {"t1": pieces[number * 6 : number * 6 + 6]}, LIMIT)
    live.append(OURS, {"t1": pieces[48:]}, LIMIT)
    events.publish(LAST)
    for follower in followers:
        follower.join()
    assert found == [[*pieces, LAST]] * len(followers)


def _until_last(entries: Iterator[LiveEntry | None]) -> Iterator[LiveEntry | None]:
    for entry in entries:
        yield entry
        if isinstance(entry, Event) and entry.is_last:
            return


@pytest.mark.usefixtures("real_events")
def test_a_follower_goes_on_when_redis_came_back_empty(settings: Settings, real_events: EventBus) -> None:
    """It says again that it follows, so it hears of what comes then."""
    live = RedisLiveOutput(settings, 0.05)
    with redis_client(settings) as redis, live.follow(OURS, "t1") as entries:
        live.append(OURS, {"t1": [_piece(0, b"a")]}, LIMIT)
        assert next(entries) == _piece(0, b"a")
        redis.delete(live_key(OURS, "t1"), ends_key(OURS, "t1"))
        assert next(entries) is None
        real_events.publish(evolve(RUNS, seq=2))
        live.append(OURS, {"t1": [_piece(1, b"b")]}, LIMIT)
        assert [*islice(entries, 2)] == [evolve(RUNS, seq=2), _piece(1, b"b")]


def test_the_limit_holds_when_only_a_follower_has_kept_the_entries(settings: Settings) -> None:
    """A program was silent for so long that what is known of its streams has expired."""
    live = RedisLiveOutput(settings, 0.05)
    with closing(redis_client(settings)) as redis:
        for start in range(0, 400, 100):
            live.append(OURS, {"t1": [_piece(offset, b"x" * 10) for offset in range(start, start + 100, 10)]}, 100)
            assert sum(len(entry.data) for entry in _seen(live) if isinstance(entry, Piece)) == 100
            redis.delete(ends_key(OURS, "t1"))


def test_what_is_no_entry_is_passed_over(settings: Settings) -> None:
    """Any program may write to Redis. Keys expire by themselves."""
    live = RedisLiveOutput(settings, 0.05)
    with closing(redis_client(settings)) as redis:
        for fields in ({"event": "{"}, {"a": "b"}, {"attempt": "x", "stream": "stdout", "offset": "0", "data": ""}):
            redis.xadd(live_key(OURS, "t1"), fields)
        live.append(OURS, {"t1": [_piece(0, b"a")]}, LIMIT)
        assert _seen(live) == [_piece(0, b"a")]
        assert all(redis.ttl(key(OURS, "t1")) > 0 for key in (live_key, ends_key))
