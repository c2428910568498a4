"""The TaskStore's contract: a wish to cancel, and the moves that depend on there being none."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from attrs import evolve

from orchestrator.errors import CancelRequested, Superseded
from orchestrator.ports import TaskStore
from statemachine import State
from tests.support.stored import TTL, finished, move, queued, stored


def test_a_task_is_asked_once_to_be_cancelled(store: TaskStore) -> None:
    """The first time stays, by the database's clock; nobody needs to hold the task for that."""
    store.insert(queued())
    asked = store.request_cancel("t1")
    assert asked == store.find("t1")
    at = stored(store).cancel_requested_at
    assert at is not None
    assert abs(at - datetime.now(UTC)) < timedelta(seconds=TTL)
    assert store.request_cancel("t1") == asked
    assert store.request_cancel("nobody") is None


def test_a_finished_task_is_not_to_be_cancelled(store: TaskStore) -> None:
    """Its outcome stays, and the caller learns it."""
    finished(store)
    before = store.find("t1")
    assert store.request_cancel("t1") == before
    assert store.cancelled(["t1"]) == frozenset()


def test_who_is_to_be_cancelled_is_seen_in_one_look(store: TaskStore) -> None:
    """However many tasks a worker has."""
    for name in ("t1", "t2", "t3"):
        store.insert(queued(name))
    store.request_cancel("t1")
    store.request_cancel("t3")
    assert store.cancelled(["t1", "t2", "nobody"]) == {"t1"}
    assert store.cancelled([]) == frozenset()


def test_a_move_may_depend_on_nobody_having_cancelled(store: TaskStore) -> None:
    """It is told from having lost the task, and the task can still be moved otherwise."""
    store.insert(queued())
    store.claim("t1", "worker", "one", TTL)
    step = evolve(move(), unless_cancelled=True)
    store.request_cancel("t1")
    before = store.find("t1")
    with pytest.raises(CancelRequested):
        store.advance(step)
    with pytest.raises(Superseded):
        store.advance(evolve(step, token="two"))
    assert store.find("t1") == before
    assert store.advance(move())["status"] == "running"


def test_a_cancellation_that_comes_after_the_move_does_not_undo_it(store: TaskStore) -> None:
    """A repeat after a lost reply also returns True."""
    store.insert(queued())
    store.claim("t1", "worker", "one", TTL)
    step = evolve(move(), unless_cancelled=True)
    store.advance(step)
    store.request_cancel("t1")
    assert store.advance(step)["status"] == "running"


def test_of_a_cancellation_and_a_move_at_once_one_is_first(store: TaskStore) -> None:
    """Either the task moves and is cancelled afterwards, or it never moves."""
    for number in range(20):
        name = f"t{number}"
        store.insert(queued(name))
        store.claim(name, "worker", "one", TTL)
        step = evolve(move(task_id=name), unless_cancelled=True)
        with ThreadPoolExecutor(2) as pool:
            asked, moved = pool.submit(store.request_cancel, name), pool.submit(store.advance, step)
        refused = isinstance(moved.exception(), CancelRequested)
        assert refused or moved.result()["status"] == "running"
        assert asked.result()["cancel_requested_at"]
        assert stored(store, name).status is (State.QUEUED if refused else State.RUNNING)
