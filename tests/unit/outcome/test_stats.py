"""Figures about many tasks: counts, rates, times, and how much of the past they are of."""

from collections.abc import Iterable
from datetime import timedelta

import pytest

from orchestrator.outcome.stats import Quantiles, Stats, stats
from orchestrator.ports import JobInfo, QueueDepth, WorkerRecord
from orchestrator.testing.queue import MemoryQueue
from orchestrator.testing.task_store import MemoryTaskStore
from statemachine import State
from tests.support.stored import NOON, queued

RECORD = WorkerRecord("w.1", "host", 7, "engine", 4, ("t1",), "busy", NOON, NOON)


def ended(task_id: str, ago: float, status: str = "succeeded", **fields: object) -> dict[str, object]:
    """A task that waited 2 s, ran 3 s by the engine's clock, and ended so many seconds before noon."""
    at = NOON - timedelta(seconds=ago)
    times = {"created_at": at - timedelta(seconds=6), "started_at": at - timedelta(seconds=4), "finished_at": at}
    return queued(task_id, status=status, **{"attempt": 1, "metrics": {"duration_s": 3.0}, **times, **fields})


def figured(documents: Iterable[dict[str, object]], window: float = 600) -> Stats:
    """The figures at noon."""
    store = MemoryTaskStore()
    for document in documents:
        store.insert(document)
    return stats(store, MemoryQueue(), NOON, window)


def test_without_tasks_there_are_zeros_and_no_times() -> None:
    """Nothing is invented, and every state and bucket is there."""
    found = figured([])
    assert dict(found.tasks) == dict.fromkeys(State, 0)
    assert (found.started, found.finished, found.wait, found.run) == (0, 0, Quantiles(None, None), Quantiles(None, None))
    assert (found.queue, found.workers, len(found.over_time)) == (QueueDepth(0, None), (), 60)


def test_only_what_happened_in_the_window_counts_but_for_the_tasks_there_are() -> None:
    """A task that began before the window and ended in it counts as ended."""
    tasks = [
        ended("old", 700),
        ended("began before", 598),
        ended("bad", 30, "failed", cause="oom"),
        ended("late", 20, "timed_out", cause="timeout"),
        queued("runs", status="running", attempt=1, started_at=NOON - timedelta(seconds=10)),
        queued("ran long", status="collecting", attempt=1, started_at=NOON - timedelta(seconds=900)),
        queued("waits"),
    ]
    found = figured(tasks)
    assert (found.started, found.finished) == (3, 3)
    assert (found.per_minute(found.started), found.per_minute(found.finished)) == (0.3, 0.3)
    assert found.ends == {State.SUCCEEDED: 1, State.FAILED: 1, State.TIMED_OUT: 1}
    assert found.causes == {"oom": 1, "timeout": 1}
    assert {state: number for state, number in found.tasks.items() if number} == {
        State.QUEUED: 1,
        State.RUNNING: 1,
        State.COLLECTING: 1,
        State.SUCCEEDED: 2,
        State.FAILED: 1,
        State.TIMED_OUT: 1,
    }


def test_half_and_95_of_100_are_values_that_were_there() -> None:
    """By nearest rank, whatever the order."""
    assert Quantiles.of([5.0]) == Quantiles(5.0, 5.0)
    assert Quantiles.of(range(100, 0, -1)) == Quantiles(50, 95)


def test_times_are_of_first_attempts_and_of_the_engines_clock() -> None:
    """A later attempt would count the earlier ones as waiting; a task that never ran has no run time."""
    tried_again, never_ran = {"attempt": 2, "metrics": {"duration_s": 9.0}}, {"started_at": None, "metrics": None}
    found = figured([ended("a", 1), ended("b", 1, **tried_again), ended("c", 1, "failed", cause="invalid", **never_ran)])
    assert (found.wait, found.run) == (Quantiles(2.0, 2.0), Quantiles(3.0, 9.0))
    assert found.started == 2


def test_buckets_have_each_start_and_end_once() -> None:
    """Together they are the sums; clocks that differ put nothing outside."""
    found = figured([ended("a", 595), ended("b", 1, "failed"), ended("ahead", -2)])
    assert (found.over_time[0].at, found.over_time[1].at) == (NOON - timedelta(seconds=600), NOON - timedelta(seconds=590))
    assert sum(bucket.started for bucket in found.over_time) == found.started == 3
    assert [(place, bucket.finished, bucket.failed) for place, bucket in enumerate(found.over_time) if bucket.finished] == [
        (0, 1, 0),
        (59, 2, 1),
    ]


def test_very_many_ends_shorten_the_window(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is looked at is bounded, and what is told is right for the time that it is told of."""
    monkeypatch.setattr(MemoryTaskStore, "most_ended", lambda _: 10)
    found = figured(ended(f"t{number}", number * 6.0) for number in range(1, 40))
    assert (found.window, found.finished, found.per_minute(found.finished)) == (60.0, 10, 10.0)
    assert found.started == 9


def test_what_a_foreign_hand_has_written_counts_for_nothing() -> None:
    """A text is no time, and a figure that is none no figure."""
    found = figured([ended("a", 1, started_at="soon", created_at=7, metrics=[1], cause=None), ended("b", 1, finished_at="now")])
    assert (found.started, found.finished, found.run.p50) == (0, 1, None)


def test_the_document_says_the_same() -> None:
    """It has what the HTTP API promises, by name."""
    store, queue = MemoryTaskStore(), MemoryQueue()
    queue.known = [RECORD]
    queue.enqueue("t1", JobInfo())
    told = stats(store, queue, NOON, 60).document()
    assert told["queue"]["length"] == 1
    assert 0 <= told["queue"]["oldest_seconds"] < 600
    assert told["rates"] == {"started_per_minute": 0.0, "finished_per_minute": 0.0}
    assert told["wait_seconds"] == told["run_seconds"] == {"p50": None, "p95": None}
    assert told["ends"] == {"succeeded": 0, "failed": 0, "timed_out": 0}
    assert told["tasks"] == dict.fromkeys(map(str, State), 0)
    assert told["workers"] == [
        {"name": "w.1", "host": "host", "pid": 7, "engine": "engine", "slots": 4, "tasks": ("t1",)}
        | {"state": "busy", "started_at": NOON, "last_heartbeat": NOON}
    ]
    assert told["over_time"][0].keys() == {"at", "started", "finished", "failed"}
