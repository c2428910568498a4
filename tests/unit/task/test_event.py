"""An event says what was stored about one transition, and survives being published."""

import json
from datetime import UTC, datetime

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.cause import Cause
from orchestrator.task.event import Event
from statemachine import TERMINAL, State, Trigger
from tests.support import junk
from tests.support.tasks import BEGAN, finished

moments = st.datetimes(min_value=datetime(1970, 1, 1), timezones=st.just(UTC)).map(  # noqa: DTZ001
    lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000)
)
open_events = st.builds(
    Event,
    st.text(st.characters()),
    st.integers(),
    st.none() | st.sampled_from(Trigger),
    st.none() | st.sampled_from(State),
    st.sampled_from([state for state in State if state not in TERMINAL]),
    moments,
)
last_events = st.builds(
    evolve,
    open_events,
    status=st.sampled_from(sorted(TERMINAL)),
    exit_code=st.none() | st.integers(),
    cause=st.none() | st.sampled_from(Cause),
    message=st.none() | st.text(st.characters()),
    deployment=st.text(),
)
FIELDS = ["task_id", "seq", "trigger", "source", "status", "at"]


@given(open_events | last_events)
def test_event_survives_being_published(event: Event) -> None:
    """As text and as the bytes that a subscriber gets."""
    assert Event.from_json(event.to_json()) == event
    assert Event.from_json(event.to_json().encode()) == event


def test_message_is_one_line_with_the_agreed_fields() -> None:
    """The contract with subscribers in other languages."""
    event = Event("t1", 1, Trigger.START, State.QUEUED, State.RUNNING, BEGAN, message="a\nb")
    assert event.to_json() == (
        '{"task_id": "t1", "seq": 1, "trigger": "start", "source": "queued", "status": "running", '
        '"at": "2026-01-02T03:04:05.678+00:00", "deployment": ""}'
    )


@pytest.mark.parametrize("status", State)
def test_outcome_is_on_the_last_event_only(status: State) -> None:
    """Exit code, cause and message, null when there is none."""
    event = Event("t1", 1, None, None, status, BEGAN)
    extra = ["exit_code", "cause", "message"] if status in TERMINAL else []
    assert [*json.loads(event.to_json())] == [*FIELDS, *extra, "deployment"]
    assert event.is_last == (status in TERMINAL)


def test_events_of_a_task_are_its_history() -> None:
    """The enqueueing and then one for each row, the outcome on the last."""
    task = finished()
    first, *rest = Event.all_of(task)
    assert first == Event.queued("t1", BEGAN) == Event("t1", 0, None, None, State.QUEUED, BEGAN)
    assert [(event.seq, event.trigger, event.source, event.status, event.at) for event in rest] == [
        (entry.seq, entry.trigger, entry.source, entry.status, entry.at) for entry in task.history
    ]
    assert [event.cause for event in rest] == [None, None, None, Cause.EXIT]
    assert (rest[-1].exit_code, rest[-1].message) == (1, "the program exited with 1")


def changed(**fields: object) -> str:
    """A good message with some fields put to something else."""
    good = json.loads(Event("t1", 1, Trigger.FAIL, State.QUEUED, State.FAILED, BEGAN).to_json())
    return json.dumps(good | fields)


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "{}", "[]", "5", "null", '"task_id"', b"\xff", "[" * 100_000, changed(seq="1"), changed(seq=1.5),
        changed(seq=None), changed(trigger="jump"), changed(trigger=""), changed(source=0), changed(status=None),
        changed(status="done"), changed(at="soon"), changed(at=5), changed(cause="boredom"), changed(cause=[]),
    ],
)  # fmt: skip
def test_what_is_no_event_is_refused(text: str | bytes) -> None:
    """With one of three errors that a subscriber can expect."""
    with pytest.raises((ValueError, KeyError, TypeError)):
        Event.from_json(text)


@given(st.dictionaries(st.sampled_from([*FIELDS, "exit_code", "cause", "message"]), junk.numbers | junk.text | st.none()))
def test_any_message_is_read_or_refused(fields: dict[str, object]) -> None:
    """Anybody may publish on the channel; nothing else than those errors comes out."""
    try:
        text = changed(**fields)
    except ValueError:  # an integer that Python does not print
        return
    try:
        assert isinstance(Event.from_json(text).status, State)
    except (ValueError, KeyError, TypeError):
        return
