"""The TaskStore's contract: compare-and-set, lost replies and stale holders."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest
from attrs import evolve

from orchestrator.cause import Cause
from orchestrator.errors import CancelRequested, Superseded
from orchestrator.ports import Move, TaskStore
from orchestrator.task.document import Task
from orchestrator.task.values import ContainerRef, LogObject, Logs, Metrics, Usage
from statemachine import State
from tests.support.stored import EXPIRED, NOON, THREADS, TTL, finished, move, queued, race, stored


def test_a_move_stores_status_history_and_fields_together(store: TaskStore) -> None:
    """What advance returns is what is stored, and Task reads it back as it was handed in."""
    log = LogObject("t1/1/stdout.log", 5, "ab" * 32, truncated=False)
    given = {
        "started_at": NOON,
        "attempt": 1,
        "container": ContainerRef("c0ffee", "task-t1", "engine"),
        "exit_code": -9,
        "cause": Cause.OOM,
        "message": "$status ŧ",
        "evidence": {"$set": {"a.b": [1]}, "when": NOON},
        "logs": Logs("bucket", log, log),
        "metrics": Metrics(Usage(200.5, 1.25), None, 3, 0.5),
    }
    store.insert(queued())
    store.claim("t1", "worker", "one", TTL)
    step = move(**given)
    after = store.advance(step)
    assert after == store.find("t1")
    task = Task.from_document(after)
    assert (task.status, task.seq, task.history) == (State.RUNNING, 1, (step.entry,))
    assert {name: getattr(task, name) for name in given} == given
    assert task.request == {"image": "busybox"}


def test_moves_follow_each_other_to_the_end(store: TaskStore) -> None:
    """The history has every row once, in order."""
    finished(store)
    task = stored(store)
    assert task.status is State.SUCCEEDED
    assert [entry.seq for entry in task.history] == [1, 2, 3, 4]
    assert task.history == tuple(move(seq=seq).entry for seq in range(1, 5))


@pytest.mark.parametrize(
    "wrong",
    [move(seq=2), move(token="two"), evolve(move(), task_id="t2"), evolve(move(), entry=evolve(move().entry, seq=2))],
    ids=["status", "token", "task", "seq"],
)
def test_a_move_from_another_place_changes_nothing(store: TaskStore, wrong: Move) -> None:
    """Status, seq and token must all be as the holder last read them."""
    store.insert(queued())
    before = store.claim("t1", "worker", "one", TTL)
    with pytest.raises(Superseded):
        store.advance(wrong)
    assert store.find("t1") == before


def test_an_unclaimed_task_does_not_move(store: TaskStore) -> None:
    """A move without the lease is refused."""
    store.insert(queued())
    with pytest.raises(Superseded):
        store.advance(move())
    assert store.find("t1") == queued()


def test_a_move_repeated_after_a_lost_reply_succeeds(store: TaskStore) -> None:
    """It is applied once, and the holder gets this result."""
    store.insert(queued())
    store.claim("t1", "worker", "one", TTL)
    step = evolve(move(message="hello"), entry=evolve(move().entry, at=NOON.replace(microsecond=123456)))
    assert store.advance(step) == store.advance(step)
    assert len(stored(store).history) == 1


def test_a_last_move_repeated_after_a_lost_reply_succeeds(store: TaskStore) -> None:
    """Then the lease is also free."""
    finished(store)
    assert store.advance(move(seq=4)) == store.find("t1")
    with pytest.raises(Superseded):
        store.advance(move(seq=4, token="two"))


def test_the_same_step_at_another_time_is_another_move(store: TaskStore) -> None:
    """Two threads that both think that they hold the task cannot both be told yes."""
    store.insert(queued())
    store.claim("t1", "worker", "one", TTL)
    store.advance(move())
    with pytest.raises(Superseded):
        store.advance(evolve(move(), entry=evolve(move().entry, at=NOON)))


def test_of_many_stale_holders_one_moves_the_task(store: TaskStore) -> None:
    """Sixteen copies of the same worker, one transition."""
    store.insert(queued())
    store.claim("t1", "worker", "one", TTL)
    steps = [evolve(move(), entry=evolve(move().entry, at=NOON + timedelta(minutes=n))) for n in range(THREADS)]
    results = race(lambda number: store.advance(steps[number]))
    assert [type(result) for result in results].count(Superseded) == THREADS - 1
    assert len(stored(store).history) == 1


def test_a_holder_that_was_replaced_is_refused(store: TaskStore) -> None:
    """Frozen past its lease and thawed, a worker writes nothing, though the task is where it left it."""
    store.insert(queued())
    store.claim("t1", "frozen", "one", EXPIRED)
    before = store.claim("t1", "other", "two", TTL)
    with pytest.raises(Superseded):
        store.advance(move(token="one"))
    store.let_go("t1", "one")
    assert store.find("t1") == before
    assert store.advance(move(token="two"))["status"] == "running"


def test_an_expired_lease_that_nobody_took_still_moves(store: TaskStore) -> None:
    """The token decides, not the clock: a late heartbeat alone costs nothing."""
    store.insert(queued())
    store.claim("t1", "worker", "one", EXPIRED)
    assert store.advance(move())["status"] == "running"


def test_a_terminal_task_is_free_of_its_lease(store: TaskStore) -> None:
    """The lease has expired, so no worker waits for it. The token stays, to distinguish a repeat from another holder."""
    finished(store)
    lease = stored(store).lease
    assert lease.token == "one"
    assert lease.expires_at <= datetime.now(UTC) + timedelta(seconds=1)
    before = store.find("t1")
    store.let_go("t1", "one")
    assert store.renew({"t1": "one"}, TTL) == {"t1"}
    assert store.find("t1") == before


@pytest.mark.parametrize("bare", [{}, {"seq": None, "history": None}, {"seq": "x", "history": 5}], ids=repr)
def test_a_task_inserted_without_the_workers_fields_moves(store: TaskStore, bare: Mapping[str, object]) -> None:
    """Other programs insert documents too, with nulls or nonsense where the worker will write."""
    store.insert({"_id": "t1", "status": "queued", **bare})
    store.claim("t1", "worker", "one", TTL)
    task = Task.from_document(store.advance(move()))
    assert (task.seq, len(task.history)) == (1, 1)


def test_an_end_is_to_be_settled(store: TaskStore) -> None:
    """Until a worker has published all events and released all resources."""
    finished(store)
    assert not stored(store).settled
    assert [document["_id"] for document in store.unsettled(10)] == ["t1"]
    store.settle("t1", "one", 4)
    store.settle("t1", "one", 4)
    assert (stored(store).settled, stored(store).published) == (True, 4)
    assert list(store.unsettled(10)) == []


def test_only_ends_are_settled(store: TaskStore) -> None:
    """A late call for a task that goes on changes nothing."""
    store.insert(queued())
    store.settle("t1", "one", 4)
    store.settle("nobody", "one", 4)
    assert store.find("t1") == queued()
    assert store.find("nobody") is None
    assert list(store.unsettled(10)) == []


@pytest.mark.parametrize(("nonce", "seq"), [("another", 4), (None, 4), ("one", 3), ("another", 0), (None, 0)], ids=repr)
def test_an_end_of_another_task_of_the_id_is_not_settled(store: TaskStore, nonce: str | None, seq: int) -> None:
    """Who was held up before its last note may find another task there."""
    finished(store)
    store.settle("t1", nonce, seq)
    assert (stored(store).settled, stored(store).published) == (False, 0)


@pytest.mark.parametrize("nonce", [None, "one", 5, {"$ne": 1}], ids=repr)
def test_the_end_of_what_cannot_be_read_is_settled(store: TaskStore, nonce: object) -> None:
    """Whatever is its nonce, and wherever its number stands; nothing is said of its events."""
    store.insert(queued(status="failed", seq="x", history=5, settled=False, nonce=nonce))
    store.settle("t1", nonce, 0)
    found = store.find("t1") or {}
    assert (found["settled"], found["published"]) == (True, 0)


@pytest.mark.parametrize("task_id", [{"a": 1}, {"b": {"c": [NOON]}}, {}, b"a", 5], ids=repr)
def test_a_task_whose_id_is_no_string_moves_to_its_end(store: TaskStore, task_id: object) -> None:
    """A sweep sees it as any other, and an id that is a document is never taken for a condition."""
    store.insert(queued(task_id))
    store.insert(queued("other", created_at=NOON + timedelta(hours=1)))
    assert [document["_id"] for document in store.waiting(10)] == [task_id, "other"]
    assert store.claim(task_id, "worker", "one", TTL)
    for seq in range(1, 5):
        store.advance(move(seq=seq, task_id=task_id))
    assert [document["_id"] for document in store.unsettled(10)] == [task_id]
    store.settle(task_id, "one", 4)
    assert (stored(store, task_id).status, stored(store, task_id).settled) == (State.SUCCEEDED, True)
    assert stored(store, "other").seq == 0
    assert store.find({"$ne": task_id}) is None
    assert store.claim({"$ne": task_id}, "worker", "one", TTL) is None


def test_a_holder_need_not_read_what_it_has_written(store: TaskStore) -> None:
    """The document after a move follows from the one before it, to the millisecond that is stored."""
    store.insert(queued(files={"a": b"b"}))
    known = store.claim("t1", "worker", "one", TTL)
    for seq in range(1, 5):
        step = evolve(move(seq=seq, evidence={"when": NOON.replace(microsecond=5678), "seq": seq}), before=known)
        known, found = store.advance(step), store.find("t1") or {}
        assert {**known, "lease": None} == {**found, "lease": None}
        assert Task.from_document(known).seq == seq


def test_a_holder_that_knows_the_document_is_fenced_off_all_the_same(store: TaskStore) -> None:
    """And a repeat after a lost reply is known again."""
    store.insert(queued())
    known = store.claim("t1", "worker", "one", TTL)
    step = evolve(move(), before=known)
    for wrong in (evolve(step, token="two"), evolve(move(seq=2), before=known)):
        with pytest.raises(Superseded):
            store.advance(wrong)
    first = store.advance(step)
    assert store.advance(step)["history"] == first["history"]
    store.request_cancel("t1")
    with pytest.raises(CancelRequested):
        store.advance(evolve(move(seq=2), before=first, unless_cancelled=True))
    assert (store.find("t1") or {})["seq"] == 1
