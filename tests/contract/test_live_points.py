"""The LiveOutput's contract, in memory and on Redis: what programs use while they run."""

from orchestrator.adapters.redis.client import redis_client
from orchestrator.adapters.redis.live_output import KEEP, KEEP_ENDED, RedisLiveOutput, points_key
from orchestrator.ports import POINTS, EventBus, LiveOutput, Piece, Point, Stream
from orchestrator.settings.settings import Settings
from tests.contract.test_live_output import FIRST, LAST, LIMIT, OURS, RUNS, _seen

FULL = Point(1, 1.25, 150.5, 1 << 40, 7, 0.5, 1, 2, 3, 4)
BARE = Point(1, 2.0, 0.0, 0, 0)
OUTPUT = Piece(1, Stream.STDOUT, 0, b"x")


def test_points_come_only_for_those_who_ask(live: LiveOutput) -> None:
    """As they were added; each task and each deployment has its own."""
    live.append(OURS, {"t1": [FULL, OUTPUT], "t2": [BARE]}, LIMIT)
    live.append(OURS, {"t1": [BARE]}, LIMIT)
    assert _seen(live) == [OUTPUT]
    seen = _seen(live, points=True)
    assert [entry for entry in seen if isinstance(entry, Point)] == [FULL, BARE]
    assert [entry for entry in seen if not isinstance(entry, Point)] == [OUTPUT]
    assert _seen(live, "t2") == []
    assert _seen(live, "t2", points=True) == [BARE]
    assert _seen(live, deployment="d2", points=True) == []


def test_the_last_point_of_many_tasks_is_known(live: LiveOutput) -> None:
    """Of those that have one."""
    live.append(OURS, {"t1": [FULL, BARE], "t2": [FULL], "t3": [OUTPUT]}, LIMIT)
    assert live.latest(OURS, ["t1", "t2", "t3", "nobody"]) == {"t1": BARE, "t2": FULL}
    assert live.latest("d2", ["t1"]) == live.latest(OURS, []) == {}


def test_points_are_bounded_and_take_no_room_from_output(live: LiveOutput) -> None:
    """The oldest go, about an hour of them; what was printed before stays."""
    live.append(OURS, {"t1": [OUTPUT]}, LIMIT)
    for first in range(0, 5000, 500):
        live.append(OURS, {"t1": [Point(1, float(first + number), 0.0, 0, 0) for number in range(500)]}, LIMIT)
    seen = _seen(live, points=True)
    times = [entry.t for entry in seen if isinstance(entry, Point)]
    assert OUTPUT in seen
    assert POINTS <= len(times) < POINTS + 200
    assert times == [float(number) for number in range(5000 - len(times), 5000)]


def test_output_takes_no_room_from_points(live: LiveOutput) -> None:
    """Its oldest pieces go beyond the limit, and they alone."""
    live.append(OURS, {"t1": [FULL, Piece(1, Stream.STDOUT, 0, b"a" * 60), Piece(1, Stream.STDOUT, 60, b"b" * 60)]}, 100)
    seen = _seen(live, points=True)
    assert [entry for entry in seen if isinstance(entry, Point)] == [FULL]
    assert [entry.offset for entry in seen if isinstance(entry, Piece)] == [60]


def test_a_new_task_of_the_same_id_has_no_points(live: LiveOutput, events: EventBus) -> None:
    """Those of the earlier one are gone."""
    live.append(OURS, {"t1": [FULL]}, LIMIT)
    events.publish(FIRST)
    assert live.latest(OURS, ["t1"]) == {}
    assert _seen(live, points=True) == []


def test_points_go_some_time_after_the_end(settings: Settings, real_events: EventBus) -> None:
    """They last as long as the output does."""
    live, key = RedisLiveOutput(settings), points_key(OURS, "t1")
    real_events.publish(FIRST)
    real_events.publish(RUNS)
    live.append(OURS, {"t1": [FULL]}, LIMIT)
    with redis_client(settings) as redis:
        assert KEEP - 60 < redis.ttl(key) <= KEEP
        real_events.publish(LAST)
        assert KEEP_ENDED - 60 < redis.ttl(key) <= KEEP_ENDED
    live.close()
