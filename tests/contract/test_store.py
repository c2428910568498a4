"""The TaskStore's contract: documents and lists, on the store in memory and on the one for MongoDB."""

from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.adapters.mongo.task_store import MongoTaskStore
from orchestrator.embedded import Embedded
from orchestrator.errors import DuplicateTask, InvalidTask
from orchestrator.ports import Search, TaskStore
from orchestrator.task.document import Task
from orchestrator.testing.task_store import MemoryTaskStore
from tests.support.servers import corners
from tests.support.stored import NOON, THREADS, TTL, queued, race


def test_a_task_is_found_as_inserted(store: TaskStore) -> None:
    """Nothing that JSON or BSON can hold is changed on the way, whatever it looks like."""
    odd = {"empty": "", "$$NOW": "$status", "a.b": ["ŧëxt 🦀", {"deep": [None, True, 1 << 60, 0.5]}]}
    document = queued(env=odd, stdin=b"\0\xff" * 10, command=["sh", "-c", "$(true) \u2028 \0"], big="x" * (4 << 20))
    store.insert(document)
    assert store.find("t1") == document


def test_dates_come_back_in_utc_to_the_millisecond(store: TaskStore) -> None:
    """A date without a zone cannot be compared with one that has it."""
    store.insert(queued(created_at=NOON.replace(microsecond=123999)))
    found = store.find("t1")
    assert found is not None
    assert found["created_at"] == NOON
    assert found["created_at"].utcoffset() == timedelta(0)


def test_an_unknown_task_is_not_found(store: TaskStore) -> None:
    """A search for a missing task raises nothing."""
    assert store.find("nobody") is None


def test_an_id_is_taken_once(store: TaskStore) -> None:
    """The second task is refused and the first one stays."""
    store.insert(queued())
    with pytest.raises(DuplicateTask):
        store.insert(queued(image="other"))
    assert store.find("t1") == queued()


def test_of_many_inserts_at_once_one_wins(store: TaskStore) -> None:
    """Of two clients that choose the same id, only one succeeds."""
    results = race(lambda number: store.insert(queued(image=f"image{number}")))
    assert [type(result) for result in results].count(DuplicateTask) == THREADS - 1


@pytest.mark.parametrize(
    "value",
    [1 << 70, "\ud800", {"a\0b": 1}, {1: "key"}, {1, 2}, "x" * (17 << 20)],
    ids=["huge integer", "lone surrogate", "null byte in a key", "key that is no string", "set", "17 MB"],
)
def test_what_cannot_be_stored_is_the_owners_fault(store: TaskStore, value: object) -> None:
    """Trying again would not help, so it is not called infrastructure."""
    with pytest.raises(InvalidTask):
        store.insert(queued(env=value))
    assert store.find("t1") is None


def test_preparing_again_changes_nothing(store: TaskStore) -> None:
    """Every worker prepares the store when it starts."""
    store.insert(queued())
    store.prepare()
    store.prepare()
    assert store.find("t1") == queued()


def test_the_newest_tasks_are_listed_first(store: TaskStore) -> None:
    """By date of creation, those without one last, whatever the order of insertion."""
    ages = {"old": 3, "new": 1, "middle": 2}
    store.insert({"_id": "ageless", "status": "queued"})
    for name, age in ages.items():
        store.insert(queued(name, created_at=NOON - timedelta(hours=age)))
    assert [document["_id"] for document in store.list(Search(), 10)] == ["new", "middle", "old", "ageless"]
    assert [document["_id"] for document in store.list(Search(), 2)] == ["new", "middle"]
    assert list(store.list(Search(), 0)) == []


def test_a_list_can_be_of_one_status(store: TaskStore) -> None:
    """And then the limit counts only those."""
    for number in range(4):
        status = "failed" if number % 2 else "queued"
        store.insert(queued(f"t{number}", status=status, created_at=NOON + timedelta(hours=number)))
    assert [document["_id"] for document in store.list(Search("failed"), 10)] == ["t3", "t1"]
    assert [document["_id"] for document in store.list(Search("queued"), 1)] == ["t2"]
    assert list(store.list(Search("running"), 10)) == []


def listed(store: TaskStore, **search: object) -> list[object]:
    """The ids of the wanted tasks, in order."""
    return [document["_id"] for document in store.list(Search(**search), 10)]


def test_a_list_can_be_of_what_was_asked_for(store: TaskStore) -> None:
    """By cause, image and labels, whose names may have dots and dollars; all that is asked for must be so."""
    store.insert(queued("a", image="one:1", cause="oom", labels={"team": "red", "a.b": "1", "$x": "$team"}))
    store.insert(queued("b", image="one:1", cause="exit", labels={"team": "red"}))
    store.insert(queued("c", image="two:1", labels="none"))
    assert listed(store, image="one:1") == ["b", "a"]
    assert listed(store, cause="oom") == ["a"]
    assert listed(store, labels={"team": "red"}) == ["b", "a"]
    assert listed(store, labels={"team": "red", "a.b": "1"}) == listed(store, labels={"$x": "$team"}) == ["a"]
    assert listed(store, labels={"$x": "red"}) == listed(store, image="two:1", labels={"team": "red"}) == []


def test_a_list_goes_on_behind_a_task(store: TaskStore) -> None:
    """Pages have each task once, also where many were created at once or have no date; behind an unknown one is nothing."""
    for number, at in enumerate([NOON, NOON, NOON, NOON - timedelta(hours=1), None, None]):
        store.insert({"_id": f"t{number}", "status": "queued", **({"created_at": at} if at else {})})
    whole = listed(store)
    assert whole == ["t2", "t1", "t0", "t3", "t5", "t4"]
    assert [listed(store, after=each) for each in whole] == [whole[place:] for place in range(1, 7)]
    assert listed(store, after="nobody") == []
    assert listed(store, since=NOON) == ["t2", "t1", "t0"]
    assert listed(store, since=NOON, after="t1") == ["t0"]
    assert listed(store, until=NOON) == ["t3"]
    assert listed(store, since=NOON - timedelta(hours=1), until=NOON + timedelta(hours=1), after="t1") == ["t0", "t3"]
    assert listed(store, since=NOON, until=NOON) == []


def test_a_list_leaves_out_what_is_bulky(store: TaskStore) -> None:
    """A list of tasks with large files must not become large itself."""
    store.insert(queued(files={"a": "x"}, stdin="y", labels={"k": "v"}))
    (found,) = store.list(Search(), 10)
    assert found == queued(labels={"k": "v"})


def test_the_clock_of_the_database_can_be_read(store: TaskStore) -> None:
    """With a time zone, and it is the one that leases run by."""
    now = store.now()
    assert now.utcoffset() == timedelta(0)
    assert abs(now - datetime.now(UTC)) < timedelta(minutes=1)
    store.insert(queued())
    expires = Task.from_document(store.claim("t1", "worker", "one", TTL)).lease.expires_at
    assert timedelta(seconds=TTL - 5) < expires - now < timedelta(seconds=TTL + 5)


def test_a_sweep_sees_tasks_by_what_they_wait_for(store: TaskStore) -> None:
    """Oldest first, without what is bulky."""
    for number, status in enumerate(["queued", "failed", "uploading", "queued", "running", "collecting", "timed_out"]):
        fields = {"created_at": NOON - timedelta(hours=number), "files": {"a": "x"}, "stdin": "y"}
        store.insert(queued(f"t{number}", status=status, settled=status != "failed", **fields))
    assert [document["_id"] for document in store.active()] == ["t5", "t4", "t2"]
    assert [document["_id"] for document in store.waiting(10)] == ["t3", "t0"]
    assert [document["_id"] for document in store.waiting(1)] == ["t3"]
    assert [document["_id"] for document in store.unsettled(10)] == ["t1"]
    seen = [*store.active(), *store.waiting(10), *store.unsettled(10)]
    assert not any({"files", "stdin"} & document.keys() for document in seen)


def test_a_deployment_keeps_its_id(store: TaskStore) -> None:
    """All workers that start at once on a new database agree on it."""
    ids = race(lambda _: store.deployment())
    assert set(ids) == {store.deployment()}
    assert len(store.deployment()) > 8


def test_deployments_differ(store: TaskStore, servers: Embedded) -> None:
    """Otherwise one would remove the containers of the other."""
    other = next(corners(servers.environment))
    stranger = MongoTaskStore(other.settings)
    assert len({store.deployment(), stranger.deployment(), MemoryTaskStore().deployment()}) == 3
    stranger.close()
    other.wipe()


def test_lists_and_sweeps_have_their_indexes(real_store: MongoTaskStore) -> None:
    """MongoDB sorts by created_at and finds what is to be settled without reading every task."""
    keys = {tuple(index["key"]) for index in real_store._tasks.list_indexes()}
    assert {("created_at", "_id"), ("status", "created_at", "_id"), ("settled", "created_at")} <= keys


def test_a_deployment_knows_the_database_that_its_id_was_made_in(store: TaskStore) -> None:
    """Before the first worker there is no id. A read does not make one."""
    assert store.origin().id == ""
    own = store.deployment()
    origin = store.origin()
    assert (origin.id, origin.former) == (own, frozenset())
    assert origin.database
    assert not origin.is_copy


def test_what_an_operator_says_of_a_database_is_kept(store: TaskStore) -> None:
    """Its id, and those that were given up, each once."""
    first = store.deployment()
    store.settle_in("second", [first])
    store.settle_in("third", [first, "second"])
    store.go_on_as("fourth", ["third"])
    store.go_on_as("third", ["fourth"])
    origin = store.origin()
    assert (origin.id, origin.former) == ("third", {first, "second", "third", "fourth"})
    assert store.deployment() == "third"
    assert not origin.is_copy


def test_a_copy_of_the_collections_is_told_from_the_original(servers: Embedded) -> None:
    """As a restored dump has it: the same documents, in a collection that the server made at that time."""
    both = corners(servers.environment)
    one, other = next(both), next(both)
    original, copy = MongoTaskStore(one.settings), MongoTaskStore(other.settings)
    own = original.deployment()
    copy._collection("meta").insert_many(original._collection("meta").find())
    assert (copy.deployment(), copy.origin().is_copy, original.origin().is_copy) == (own, True, False)
    copy.go_on_as(own, ["lost"])
    assert (copy.origin().former, copy.origin().is_copy) == ({"lost"}, True)
    copy.settle_in(own)
    assert (copy.origin().id, copy.origin().is_copy) == (own, False)
    for store, corner in ((original, one), (copy, other)):
        store.close()
        corner.wipe()


def test_a_database_from_before_such_notes_is_taken_for_the_own(real_store: MongoTaskStore) -> None:
    """It has an id alone; from the first look on it is noted where it was made."""
    real_store._collection("meta").insert_one({"_id": "deployment", "id": "early"})
    assert real_store.deployment() == "early"
    origin = real_store.origin()
    assert origin.home == origin.database != ""


def test_ids_are_found_by_how_they_begin(store: TaskStore) -> None:
    """In the order of code points, the beginning itself first; ids that are no strings are none of them."""
    for task_id in ["abcd", "abcd1", "abc", "abcd\u00ff", "abcd\U0001f980", "abce", "ABCD2", "abcdZ", 5, {"abcd": 1}, None]:
        store.insert({"_id": task_id, "status": "queued"})
    assert [*store.ids("abcd", 10)] == ["abcd", "abcd1", "abcdZ", "abcd\u00ff", "abcd\U0001f980"]
    assert [*store.ids("abcd", 2)] == ["abcd", "abcd1"]
    assert [*store.ids("abcd", 0)] == [*store.ids("abd", 10)] == [*store.ids("a.cd", 10)] == [*store.ids("$gt", 10)] == []
    assert len(store.ids("", 100)) == 8


def test_a_beginning_that_no_id_can_have_is_refused(store: TaskStore) -> None:
    """As such an id is."""
    with pytest.raises(InvalidTask):
        store.ids("abcd\ud800", 10)
