"""The TaskStore's contract: how ended tasks are marked, deleted and found when their time is over."""

from datetime import timedelta

import pytest

from orchestrator.adapters.mongo.task_store import MongoTaskStore
from orchestrator.errors import DuplicateTask
from orchestrator.ports import Part, Search, TaskStore
from tests.support.stored import NOON, TTL, finished, queued, race, stored

LATER = NOON + timedelta(days=1)


def ended(task_id: str, hours: float = 0.0, **fields: object) -> dict[str, object]:
    """A document as a worker leaves it, so many hours after noon."""
    at = NOON + timedelta(hours=hours)
    return {**queued(task_id), "status": "succeeded", "settled": True, "nonce": f"of {task_id}", "finished_at": at, **fields}


def ids(documents: object) -> list[object]:
    """Of documents, in order."""
    return [document["_id"] for document in documents]


def test_an_ended_task_is_marked_and_then_deleted(store: TaskStore) -> None:
    """While it is marked it is in no list, and its id is taken; afterwards its id is free."""
    store.insert(ended("t1"))
    store.mark_deleting({"t1": "of t1"}, "token")
    mark = store.find("t1")["deleting"]
    assert mark["token"] == "token"
    assert abs(mark["at"] - store.now()) < timedelta(minutes=1)
    assert list(store.list(Search(), 10)) == []
    with pytest.raises(DuplicateTask):
        store.insert(queued())
    store.delete({"t1": "token"})
    store.delete({"t1": "token"})
    assert store.find("t1") is None
    store.insert(queued())


def test_what_tells_a_tasks_objects_is_looked_up_at_once(store: TaskStore) -> None:
    """Also of a marked task; there is nothing of one that is not there, and nothing else of the others."""
    told = {"attempt": 2, "objects_named": 2, "logs": {"stdout": {"key": "t1/2/a"}}, "attempts": [], "logs_removed_at": NOON}
    store.insert(ended("t1", stdin="x" * 1000, **told))
    store.insert(ended("t2"))
    store.mark_deleting({"t1": "of t1"}, "token")
    found = store.naming(["t1", "t2", "t3"])
    assert found["t1"].pop("deleting")["token"] == "token"
    assert found == {"t1": {"_id": "t1", "nonce": "of t1", **told}, "t2": {"_id": "t2", "nonce": "of t2"}}
    assert store.naming([]) == {}


def test_what_has_not_ended_or_is_not_settled_is_not_marked(store: TaskStore) -> None:
    """Nor is another task that has the same id by now. A foreign document without the note counts as settled."""
    store.insert(queued("waiting", nonce="of waiting"))
    store.insert(ended("unsettled", settled=False))
    store.insert(ended("other", nonce="new"))
    store.insert({"_id": "foreign", "status": "failed"})
    before = {task_id: store.find(task_id) for task_id in ("waiting", "unsettled", "other")}
    store.mark_deleting({**{task_id: f"of {task_id}" for task_id in before}, "foreign": None, "unknown": None}, "token")
    assert {task_id: store.find(task_id) for task_id in before} == before
    assert ids(store.deleting(10)) == ["foreign"]


def test_a_mark_stays_as_it_is(store: TaskStore) -> None:
    """Of many who delete a task at once the first one's mark is the one, and only with that the document goes."""
    store.insert(ended("t1"))
    race(lambda number: store.mark_deleting({"t1": "of t1"}, f"token {number}"))
    token = store.find("t1")["deleting"]["token"]
    store.mark_deleting({"t1": "of t1"}, "late")
    store.delete({"t1": "late"})
    assert store.find("t1")["deleting"]["token"] == token
    store.delete({"t1": token})
    assert store.find("t1") is None


def test_many_are_marked_and_deleted_at_once(store: TaskStore) -> None:
    """And nothing beside them."""
    for number in range(30):
        store.insert(ended(f"t{number}"))
    some = {f"t{number}": f"of t{number}" for number in range(20)}
    store.mark_deleting(some, "token")
    assert {*ids(store.deleting(100))} == {*some}
    assert len([*store.deleting(3)]) == 3
    assert list(store.deleting(0)) == []
    store.delete(dict.fromkeys(some, "token"))
    assert len([*store.list(Search(), 100)]) == 10
    assert list(store.deleting(10)) == []


@pytest.mark.parametrize("place", [0, 1, 2, 4])
def test_a_list_goes_on_behind_what_is_being_deleted(store: TaskStore, place: int) -> None:
    """Wherever in the list it is, a page is full as long as others follow."""
    for number in range(5):
        store.insert(ended(f"t{number}", number))
    store.mark_deleting({f"t{place}": f"of t{place}"}, "token")
    left = [task_id for task_id in ids(store.list(Search(), 5)) if task_id != f"t{place}"]
    assert len(left) == 4
    for limit in range(5):
        assert ids(store.list(Search(), limit)) == left[:limit]


def test_a_worker_that_comes_late_brings_nothing_back(store: TaskStore) -> None:
    """A task that is gone is neither settled nor claimed."""
    finished(store)
    store.settle("t1", "one", 4)
    nonce = stored(store).nonce
    store.mark_deleting({"t1": nonce}, "token")
    store.settle("t1", "one", 4)
    assert stored(store).deleting is not None
    store.delete({"t1": "token"})
    store.settle("t1", "one", 4)
    assert store.claim("t1", "worker", "two", TTL) is None
    assert store.request_cancel("t1") is None
    assert store.find("t1") is None


def test_expired_tasks_are_those_that_are_settled_and_ended_before(store: TaskStore) -> None:
    """First ended first. Without a date, or with an id that is no string, nothing is found."""
    for name, hours in {"b": 2, "a": 1, "c": 3}.items():
        store.insert(ended(name, hours))
    store.insert(ended("unsettled", settled=False))
    store.insert(ended("dateless", finished_at="yesterday"))
    store.insert({**ended("x"), "_id": 5})
    store.insert(queued("waiting"))
    assert ids(store.expired(LATER, 10)) == ["a", "b", "c"]
    assert ids(store.expired(LATER, 2)) == ["a", "b"]
    assert ids(store.expired(NOON + timedelta(hours=2), 10)) == ["a"]
    assert list(store.expired(LATER, 0)) == list(store.expired(NOON, 10)) == []
    (first, *_) = store.expired(LATER, 1)
    assert first["nonce"] == "of a"


def test_a_task_with_a_time_of_its_own_goes_by_that(store: TaskStore) -> None:
    """Whatever the time of all others is, and so do its logs and artifacts."""
    for name, hours in {"b": 2, "a": 1, "ever": 10**6}.items():
        store.insert(ended(name, keep_until=NOON + timedelta(hours=hours)))
    store.insert(ended("usual", keep_until=None))
    store.insert(ended("unsettled", settled=False, keep_until=NOON))
    assert ids(store.expired(LATER, 10)) == ["usual"]
    assert [ids(store.with_output(part, None, LATER, 10)) for part in Part] == [["usual"], ["usual"]]
    assert ids(store.outlived(LATER, 10)) == ["a", "b"]
    assert ids(store.outlived(LATER, 1)) == ["a"]
    assert list(store.outlived(NOON, 10)) == list(store.outlived(LATER, 0)) == []


@pytest.mark.parametrize("part", Part)
def test_output_that_was_removed_is_noted_and_not_found_again(store: TaskStore, part: Part) -> None:
    """One kind apart from the other; another task that has the id by now is left alone."""
    for name in ("a", "b", "c"):
        store.insert(ended(name, 1))
    assert sorted(ids(store.with_output(part, None, LATER, 10))) == ["a", "b", "c"]
    store.note_removed(part, {"a": "of a", "b": "of an earlier b"})
    assert sorted(ids(store.with_output(part, None, LATER, 10))) == ["b", "c"]
    (other,) = {*Part} - {part}
    assert len([*store.with_output(other, None, LATER, 10)]) == 3
    noted = store.find("a")[f"{part}_removed_at"]
    assert abs(noted - store.now()) < timedelta(minutes=1)
    assert list(store.with_output(part, None, NOON, 10)) == list(store.with_output(part, None, LATER, 0)) == []
    store.insert(ended("d", 5))
    assert ids(store.with_output(part, NOON + timedelta(hours=5), LATER, 10)) == ["d"]


def test_deletion_and_retention_have_their_indexes(real_store: MongoTaskStore) -> None:
    """A sweep does not read every task to find that nothing is to be done."""
    keys = {tuple(index["key"]) for index in real_store._tasks.list_indexes()}
    parts = [[], ["logs_removed_at"], ["artifacts_removed_at"]]
    assert {("settled", *part, "keep_until", "finished_at") for part in parts} | {("deleting.at",)} <= keys


def test_a_task_without_a_nonce_is_not_taken_for_one_that_has_one(store: TaskStore) -> None:
    """An id may be used again, by a document that has none; another task of the batch has none either."""
    for task_id, nonce in {"a": None, "b": None}.items():
        store.insert({**ended(task_id, 1), "nonce": nonce})
    store.mark_deleting({"a": None, "b": "of the task that was there"}, "token")
    store.note_removed(Part.LOGS, {"a": None, "b": "of the task that was there"})
    assert [document["_id"] for document in store.deleting(10)] == ["a"]
    assert (store.find("b") or {}).get("logs_removed_at") is None
