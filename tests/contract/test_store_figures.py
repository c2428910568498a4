"""The TaskStore's contract: what figures about many tasks are made of."""

from datetime import datetime, timedelta

from orchestrator.ports import Counts, TaskStore
from statemachine import State
from tests.support.stored import NOON, queued


def ids(documents: object) -> list[object]:
    """Of each its id."""
    return [document["_id"] for document in documents]


def test_tasks_are_counted_by_status(store: TaskStore) -> None:
    """All seven are named; what a foreign hand made up is not."""
    for number, status in enumerate(["queued", "queued", "running", "failed", "odd", None]):
        store.insert(queued(f"t{number}", status=status))
    assert store.counts() == Counts({**dict.fromkeys(map(str, State), 0), "queued": 2, "running": 1, "failed": 1})


def test_the_last_to_end_come_first(store: TaskStore) -> None:
    """Back to a time, which counts; many years are as good as seconds."""
    ago = {"a": 0, "b": 1, "c": 3600, "d": 90_000, "e": 10**9}
    for name, seconds in ago.items():
        store.insert(queued(name, status="succeeded", finished_at=NOON - timedelta(seconds=seconds), files={"x": "y"}))
    store.insert(queued("runs", status="running", finished_at=None))
    store.insert(queued("odd", status="failed", finished_at="soon"))
    assert ids(store.ended(NOON - timedelta(days=20_000), 10)) == ["a", "b", "c", "d", "e"]
    assert ids(store.ended(NOON - timedelta(hours=1), 10)) == ["a", "b", "c"]
    assert ids(store.ended(NOON - timedelta(hours=1), 2)) == ["a", "b"]
    assert ids(store.ended(NOON + timedelta(milliseconds=1), 10)) == ids(store.ended(NOON, 0)) == []


def test_those_that_began_are_told_of(store: TaskStore) -> None:
    """With their times, and without what is bulky."""
    fields = {"attempt": 1, "started_at": NOON, "finished_at": None, "metrics": {"duration_s": 1.0}, "cause": None}
    for number, status in enumerate(["queued", "running", "collecting", "uploading", "failed"]):
        store.insert(queued(f"t{number}", status=status, files={"x": "y"}, **fields))
    found = sorted(store.begun(), key=lambda document: document["_id"])
    assert ids(found) == ["t1", "t2", "t3"]
    assert found[0] == {"_id": "t1", "status": "running", "created_at": NOON, **fields}
    assert isinstance(found[0]["started_at"], datetime)
