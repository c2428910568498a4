"""The EventBus's contract, on the bus in memory and on Redis."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.adapters.redis.client import redis_client
from orchestrator.adapters.redis.event_bus import RedisEventBus
from orchestrator.cause import Cause
from orchestrator.ports import EventBus
from orchestrator.settings.settings import Settings
from orchestrator.task.event import Event
from statemachine import TERMINAL, State, Trigger
from tests.support import pace

NOON = datetime(2030, 5, 17, 12, 0, 0, 123000, tzinfo=UTC)
FIRST = Event.queued("t1", NOON)
LAST = Event("t1", 4, Trigger.UPLOAD, State.UPLOADING, State.FAILED, NOON, -9, Cause.SIGNAL, "it was ŧold to 🦀\n")
PATIENCE = pace.seconds(10.0)


def heard(arriving: Iterator[Event | None], count: int) -> list[Event]:
    """The next ``count`` events."""
    deadline = time.monotonic() + PATIENCE
    events: list[Event] = []
    while len(events) < count:
        assert time.monotonic() < deadline, events
        event = next(arriving)
        events += [] if event is None else [event]
    return events


def test_a_subscriber_hears_what_is_published_from_then_on(events: EventBus) -> None:
    """No earlier events, and every event after the block is entered."""
    events.publish(FIRST)
    with events.subscribe("t1") as arriving:
        events.publish(LAST)
        assert heard(arriving, 1) == [LAST]
        assert next(arriving) is None


def test_events_arrive_in_order(events: EventBus) -> None:
    """As they were published, none left out."""
    sent = [evolve(LAST, seq=seq) for seq in range(200)]
    with events.subscribe("t1") as arriving:
        for event in sent:
            events.publish(event)
        assert heard(arriving, len(sent)) == sent


def test_a_subscriber_of_one_task_hears_of_no_other(events: EventBus) -> None:
    """A subscriber of all hears everything once."""
    with events.subscribe("t1") as one, events.subscribe(None) as everything:
        sent = [FIRST, evolve(FIRST, task_id="t11"), evolve(FIRST, task_id="t"), LAST]
        for event in sent:
            events.publish(event)
        assert heard(one, 2) == [FIRST, LAST]
        assert heard(everything, 4) == sent
        assert next(one) is None
        assert next(everything) is None


def test_every_subscriber_hears_every_event(events: EventBus) -> None:
    """They do not share the events among them."""
    with events.subscribe("t1") as one, events.subscribe("t1") as other:
        events.publish(FIRST)
        assert heard(one, 1) == heard(other, 1) == [FIRST]


def test_an_idle_subscriber_is_given_none(events: EventBus) -> None:
    """Again and again, so that it can look elsewhere."""
    with events.subscribe("t1") as arriving:
        assert [next(arriving), next(arriving)] == [None, None]


def test_publishing_to_nobody_is_no_error(events: EventBus) -> None:
    """Also after the last subscriber has gone."""
    with events.subscribe("t1"):
        pass
    events.publish(FIRST)


def test_a_subscription_ends_with_its_block(events: EventBus) -> None:
    """Also when the block raises."""
    with pytest.raises(ZeroDivisionError), events.subscribe("t1"):
        raise ZeroDivisionError
    events.publish(FIRST)
    with events.subscribe("t1") as arriving:
        assert next(arriving) is None


def test_an_event_is_not_sent_after_a_later_one_of_its_task(events: EventBus) -> None:
    """A worker that was frozen just before it published is late. The last message still has the right status."""
    first = Event("t1", 3, Trigger.COLLECT, State.COLLECTING, State.UPLOADING, NOON, nonce="one")
    last = evolve(LAST, nonce="one")
    with events.subscribe("t1") as one, events.subscribe(None) as everything:
        for event in (FIRST, first, last, first, FIRST, last):
            events.publish(event)
        assert heard(one, 4) == heard(everything, 4) == [FIRST, first, last, last]
        assert next(one) is None
        assert next(everything) is None


def test_a_new_task_of_the_same_id_is_heard_from_its_first_move(events: EventBus) -> None:
    """As is one of the same id in another deployment."""
    old = evolve(LAST, nonce="one", deployment="d1")
    new = Event("t1", 1, Trigger.START, State.QUEUED, State.RUNNING, NOON, deployment="d1", nonce="two")
    other = evolve(FIRST, deployment="d2")
    with events.subscribe("t1") as arriving:
        for event in (old, new, other):
            events.publish(event)
        assert heard(arriving, 3) == [old, new, other]


def test_redis_does_not_remember_for_ever_what_was_sent(real_events: RedisEventBus, settings: Settings) -> None:
    """The key expires."""
    real_events.publish(FIRST)
    with redis_client(settings) as redis:
        (key,) = redis.keys("orchestrator:published:*")
        assert 0 < redis.ttl(key) <= 3600


def test_many_threads_publish_at_once(events: EventBus) -> None:
    """The threads of a worker share one bus."""
    sent = [evolve(FIRST, task_id=f"t{number}") for number in range(100)]
    with events.subscribe(None) as arriving, ThreadPoolExecutor(16) as pool:
        list(pool.map(events.publish, sent))
        assert sorted(event.task_id for event in heard(arriving, 100)) == sorted(event.task_id for event in sent)


milliseconds = st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1)).map(  # noqa: DTZ001
    lambda at: at.replace(microsecond=at.microsecond // 1000 * 1000, tzinfo=UTC)
)
moves = st.builds(
    Event,
    task_id=st.text(min_size=1),
    seq=st.integers(1, 1 << 40),
    trigger=st.sampled_from(Trigger),
    source=st.sampled_from(State),
    status=st.sampled_from(sorted(set(State) - TERMINAL)),
    at=milliseconds,
)
ends = st.builds(
    evolve,
    moves,
    status=st.sampled_from(sorted(TERMINAL)),
    exit_code=st.none() | st.integers(-64, 255),
    cause=st.none() | st.sampled_from(Cause),
    message=st.none() | st.text(),
)


@given(moves | ends | st.builds(Event.queued, st.text(min_size=1), milliseconds))
def test_an_event_survives_its_json(event: Event) -> None:
    """One line, and the same event on the other side."""
    line = event.to_json()
    assert "\n" not in line
    assert Event.from_json(line) == Event.from_json(line.encode()) == event


def test_what_is_no_event_is_passed_over(real_events: RedisEventBus, settings: Settings) -> None:
    """Any program may publish on the channels."""
    with real_events.subscribe("t1") as arriving, redis_client(settings) as redis:
        for junk in [b"", b"{", b"5", b"null", b"[]", b"{}", b"\xff\xfe", b'{"task_id": "t1"}', FIRST.to_json()[:-9]]:
            redis.publish("tasks:t1", junk)
        real_events.publish(LAST)
        assert heard(arriving, 1) == [LAST]


def test_a_subscriber_survives_a_lost_connection(real_events: RedisEventBus, settings: Settings) -> None:
    """It subscribes again by itself. Events that were sent in between are lost."""
    with real_events.subscribe("t1") as arriving, redis_client(settings) as redis:
        redis.client_kill_filter(_type="pubsub")
        deadline = time.monotonic() + PATIENCE
        event = None
        while event is None:
            assert time.monotonic() < deadline
            real_events.publish(LAST)
            event = next(arriving)
        assert event == LAST


def test_leaving_closes_the_connection(real_events: RedisEventBus, settings: Settings) -> None:
    """A client that watches many tasks one after the other does not pile up connections."""
    with redis_client(settings) as redis:
        with real_events.subscribe("t1"), real_events.subscribe("t2"):
            assert len(redis.client_list("pubsub")) == 2
        deadline = time.monotonic() + PATIENCE
        while redis.client_list("pubsub"):
            assert time.monotonic() < deadline
