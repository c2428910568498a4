"""The Intake's contract: in two steps, on a bus and a queue in memory, and in one, on Redis."""

from datetime import UTC, datetime

import pytest

from orchestrator.adapters.redis.client import redis_client
from orchestrator.adapters.redis.event_bus import RedisEventBus
from orchestrator.adapters.redis.intake import RedisIntake
from orchestrator.adapters.redis.intake import intake as intake_of
from orchestrator.adapters.redis.queue import RqQueue
from orchestrator.ports import EventBus, Intake, JobInfo, NewTask, TwoStepIntake
from orchestrator.settings.settings import Settings
from orchestrator.task.event import Event
from tests.contract.conftest import Line
from tests.contract.test_events import heard

NOON = datetime(2030, 5, 17, 12, tzinfo=UTC)


def new(task_id: str) -> NewTask:
    """A task of this id."""
    return NewTask(Event.queued(task_id, NOON, "d1"), JobInfo("d1", "says what it is", {"team": "blue"}))


@pytest.fixture
def intake(kind: str, events: EventBus, line: Line) -> Intake:
    """An intake before the queue."""
    intake = intake_of(events, line.queue)
    assert isinstance(intake, TwoStepIntake if kind == "memory" else RedisIntake)
    return intake


def test_every_task_is_told_of_and_in_line(intake: Intake, events: EventBus, line: Line) -> None:
    """In the order in which they came."""
    tasks = [new(f"t{number}") for number in range(300)]
    with events.subscribe(None) as arriving:
        intake.take_in(tasks)
        assert heard(arriving, 300) == [task.event for task in tasks]
    assert line.waiting() == [task.event.task_id for task in tasks]


def test_a_task_may_be_taken_in_twice(intake: Intake, line: Line) -> None:
    """As after an answer that was lost."""
    intake.take_in([new("t1")])
    intake.take_in([new("t1")])
    assert line.waiting() == ["t1", "t1"]


def test_nothing_is_taken_in_without_a_word(intake: Intake, line: Line) -> None:
    """An empty batch is no error."""
    intake.take_in([])
    assert line.waiting() == []


def test_a_server_that_was_emptied_has_forgotten_the_script(settings: Settings) -> None:
    """It comes with every batch."""
    events = RedisEventBus(settings, 0.1)
    with redis_client(settings) as redis, events.subscribe("t1") as arriving:
        redis.script_flush()
        RedisIntake(events, RqQueue(settings)).take_in([new("t1")])
        assert heard(arriving, 1) == [new("t1").event]
