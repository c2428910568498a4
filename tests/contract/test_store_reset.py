"""A document that cannot be read or moved is reduced, so that its task can end. Other tasks are not affected."""

import pytest

from orchestrator.errors import InvalidTask
from orchestrator.ports import TaskStore
from tests.support.stored import NOON, TTL, queued

FULL = 16 << 20


@pytest.mark.parametrize("lease", [None, 5, {}, {"token": "t"}, {"token": "t", "expires_at": "soon"}])
def test_a_document_that_nobody_holds_keeps_only_its_id_and_date(store: TaskStore, lease: object) -> None:
    """With any value as its lease. A date of the wrong type is removed, too."""
    junk = {"a.b": 1, "$x": 1, "history": 5, "status": "running", "lease": lease}
    store.insert({"_id": "t1", "created_at": NOON, **junk})
    store.insert({"_id": "t2", "created_at": "noon", **junk})
    for task_id in ("t1", "t2", "unknown"):
        store.reset(task_id)
    assert store.find("t1") == {"_id": "t1", "status": "queued", "created_at": NOON, "objects_named": -1}
    assert store.find("t2") == {"_id": "t2", "status": "queued", "created_at": None, "objects_named": -1}
    assert store.find("unknown") is None


def test_a_task_that_is_held_or_has_ended_stays_as_it_is(store: TaskStore) -> None:
    """Its holder or its owner may still need it."""
    store.insert(queued())
    store.claim("t1", "worker", "token", TTL)
    store.insert({"_id": "t2", "status": "failed", "message": "kept"})
    before = [store.find(task_id) for task_id in ("t1", "t2")]
    for task_id in ("t1", "t2"):
        store.reset(task_id)
    assert [store.find(task_id) for task_id in ("t1", "t2")] == before


@pytest.mark.parametrize("short", [60, 200, 500_000])
def test_a_document_without_room_cannot_be_claimed_until_it_is_reset(store: TaskStore, short: int) -> None:
    """Even when the lease alone would be too much."""
    store.insert({"_id": "t1", "status": "queued", "stdin": "x" * (FULL - 100 - short)})
    for _ in range(2):
        with pytest.raises(InvalidTask, match="bytes"):
            store.claim("t1", "worker", "token", TTL)
    store.reset("t1")
    assert store.claim("t1", "worker", "token", TTL)


def test_an_engine_beside_a_status_that_is_none_binds_nothing(store: TaskStore) -> None:
    """No sweep ever sees such a document, so each worker that it is delivered to has to be able to end it."""
    for number, status in enumerate((None, [], "lost", {"a": 1}, 5)):
        store.insert({"_id": f"t{number}", "status": status, "engine": "elsewhere"})
        assert store.claim(f"t{number}", "worker", "token", 10, "here")


def test_an_engine_that_is_no_name_binds_nothing(store: TaskStore) -> None:
    """Another program wrote it, and no worker could ever claim it."""
    for number, engine in enumerate((5, {}, [], "", True)):
        store.insert({"_id": f"t{number}", "status": "queued", "engine": engine})
        document = store.claim(f"t{number}", "worker", "token", TTL, "here")
        assert document
        assert document["engine"] == "here"
