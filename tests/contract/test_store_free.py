"""The TaskStore's contract: a sweep gets the tasks that nobody holds, whatever stands before them."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.ports import Free, TaskStore
from orchestrator.task.values import Document
from statemachine import State
from tests.support.stored import queued

HERE, PATIENCE = "here", 300.0
IMPOSSIBLE = datetime(9999, 12, 31, tzinfo=UTC)
Look = Callable[[TaskStore, Free], Iterable[Document]]
LOOKS: dict[str, tuple[str, dict[str, object], Look]] = {
    "active": (State.RUNNING, {}, lambda store, free: store.active(free)),
    "bound": (State.QUEUED, {"engine": HERE}, lambda store, free: store.bound(free)),
    "waiting": (State.QUEUED, {}, lambda store, free: store.waiting(10, free)),
    "unsettled": (State.FAILED, {"settled": False}, lambda store, free: store.unsettled(10, free)),
}


def found(look: Look, store: TaskStore) -> list[object]:
    """The ids that a sweep gets."""
    return [document["_id"] for document in look(store, Free(store.now(), HERE, PATIENCE))]


def ends(store: TaskStore, seconds: float) -> dict[str, object]:
    """A lease that ends so many seconds from now."""
    return {"worker": "w", "token": "x", "expires_at": store.now() + timedelta(seconds=seconds)}


@pytest.mark.parametrize("name", LOOKS)
def test_tasks_that_are_held_do_not_stand_before_one_that_is_not(store: TaskStore, name: str) -> None:
    """However many there are, and however old they say that they are."""
    status, fields, look = LOOKS[name]
    for number in range(250):
        store.insert(queued(f"forged {number}", status=status, lease=ends(store, 3000), created_at=None, **fields))
    store.insert(queued("honest", status=status, lease=ends(store, -1), **fields))
    assert found(look, store) == ["honest"]


@pytest.mark.parametrize("name", LOOKS)
@pytest.mark.parametrize(
    "lease", [None, {}, "x", ["y"], 5, {"expires_at": None}, {"expires_at": "tomorrow"}, {"expires_at": IMPOSSIBLE}], ids=repr
)
def test_a_lease_that_no_worker_can_have_taken_holds_nothing(store: TaskStore, name: str, lease: object) -> None:
    """A claim says the same of it."""
    status, fields, look = LOOKS[name]
    store.insert(queued(status=status, lease=lease, **fields))
    assert found(look, store) == ["t1"]


@pytest.mark.parametrize("name", ["active", "bound"])
def test_tasks_of_other_engines_come_last_and_once_they_have_waited_long(store: TaskStore, name: str) -> None:
    """Their own engine's workers come first."""
    status, _, look = LOOKS[name]
    for task_id, engine, late in (("away", "there", 301), ("soon", "there", 290), ("ours", HERE, 1), ("held", HERE, -50)):
        store.insert(queued(task_id, status=status, engine=engine, lease=ends(store, -late)))
    assert found(look, store) == ["ours", "away"]


@pytest.mark.parametrize("name", ["active", "bound"])
def test_a_task_that_is_handed_over_has_not_waited_since_it_was_made(store: TaskStore, name: str) -> None:
    """Its own engine's workers may claim it at once; those of others wait as they do for one whose worker has died."""
    status, _, look = LOOKS[name]
    made = store.now() - timedelta(hours=5)
    for task_id, engine in (("ours", HERE), ("away", "there")):
        store.insert(queued(task_id, status=status, engine=engine, created_at=made))
        assert store.claim(task_id, "w", f"token of {task_id}", 60.0, engine)
        store.let_go(task_id, f"token of {task_id}")
        assert store.renew({task_id: f"token of {task_id}"}, 60.0) == frozenset()
    assert found(look, store) == ["ours"]
    later = Free(store.now() + timedelta(seconds=PATIENCE + 1), HERE, PATIENCE)
    assert [document["_id"] for document in look(store, later)] == ["ours", "away"]
    assert store.claim("ours", "x", "another token", 60.0, HERE)


def test_ended_tasks_of_other_engines_are_settled_there(store: TaskStore) -> None:
    """Unless they have waited long; one that has no container is anybody's."""
    for task_id, engine, late in (("away", "there", 301), ("soon", "there", 290), ("ours", HERE, 1), ("none", None, 1)):
        container = {"id": "c", "name": "n", "engine": engine}
        store.insert(queued(task_id, status="failed", settled=False, container=container, lease=ends(store, -late)))
    assert sorted(map(str, found(LOOKS["unsettled"][2], store))) == ["away", "none", "ours"]


def test_what_is_bound_and_what_is_not_are_looked_at_apart(store: TaskStore) -> None:
    """An engine that is no text, or an empty one, binds nothing."""
    for task_id, engine in (("none", None), ("empty", ""), ("number", 5), ("ours", HERE)):
        store.insert(queued(task_id, engine=engine, lease=ends(store, -1)))
    assert found(LOOKS["bound"][2], store) == ["ours"]
    assert sorted(map(str, found(LOOKS["waiting"][2], store))) == ["empty", "none", "number"]


@pytest.mark.parametrize("name", LOOKS)
def test_the_oldest_come_first(store: TaskStore, name: str) -> None:
    """Ended ones, too: without an order, the same few could be looked at for ever."""
    status, fields, look = LOOKS[name]
    now = store.now()
    for age in (1, 3, 2):
        store.insert(queued(f"t{age}", status=status, created_at=now - timedelta(hours=age), **fields))
    assert found(look, store) == ["t3", "t2", "t1"]
