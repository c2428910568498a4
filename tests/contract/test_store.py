"""The TaskStore's contract, on the store in memory and on the one for MongoDB."""

import time
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier

import pytest
from attrs import evolve
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from orchestrator.adapters.memory_store import MemoryTaskStore
from orchestrator.adapters.mongo import MongoTaskStore
from orchestrator.cause import Cause
from orchestrator.embedded import Embedded
from orchestrator.errors import CancelRequested, DuplicateTask, InvalidTask, OrchestratorError, Superseded
from orchestrator.ports import Move, TaskStore
from orchestrator.task import ContainerRef, Entry, LogObject, Logs, Metrics, Task, Usage
from statemachine import TERMINAL, State, Trigger
from tests.support.servers import corners

NOON = datetime(2030, 5, 17, 12, 0, 0, 123000, tzinfo=UTC)
TTL = 60.0
EXPIRED = -1.0
THREADS = 16


def queued(task_id: str = "t1", **fields: object) -> dict[str, object]:
    """A document as a client inserts it."""
    return {"_id": task_id, "image": "busybox", "status": "queued", "seq": 0, "created_at": NOON, **fields}


def move(token: str = "one", seq: int = 1, task_id: str = "t1", **fields: object) -> Move:
    """The ``seq``-th move of a task that succeeds."""
    trigger, source, status = [
        (Trigger.START, State.QUEUED, State.RUNNING),
        (Trigger.WAIT, State.RUNNING, State.COLLECTING),
        (Trigger.COLLECT, State.COLLECTING, State.UPLOADING),
        (Trigger.UPLOAD, State.UPLOADING, State.SUCCEEDED),
    ][seq - 1]
    return Move(task_id, token, Entry(seq, trigger, source, status, NOON + timedelta(seconds=seq)), fields)


def finished(store: TaskStore) -> None:
    """Bring t1 to its end, held with the token "one"."""
    store.insert(queued())
    store.claim("t1", "worker", "one", TTL)
    for seq in range(1, 5):
        store.advance(move(seq=seq))


def stored(store: TaskStore, task_id: str = "t1") -> Task:
    """The task as it can be read back."""
    document = store.find(task_id)
    assert document is not None
    return Task.from_document(document)


def race(attempt: Callable[[int], object]) -> list[object]:
    """What ``attempt`` returns or raises, called with 0, 1, … from many threads at once."""
    barrier = Barrier(THREADS)

    def start(number: int) -> object:
        barrier.wait()
        try:
            return attempt(number)
        except OrchestratorError as error:
            return error

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(start, range(THREADS)))


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
    """There is no error in looking."""
    assert store.find("nobody") is None


def test_an_id_is_taken_once(store: TaskStore) -> None:
    """The second task is refused and the first one stays."""
    store.insert(queued())
    with pytest.raises(DuplicateTask):
        store.insert(queued(image="other"))
    assert store.find("t1") == queued()


def test_of_many_inserts_at_once_one_wins(store: TaskStore) -> None:
    """Two clients that choose the same id cannot both think that it is theirs."""
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
    assert [document["_id"] for document in store.list(None, 10)] == ["new", "middle", "old", "ageless"]
    assert [document["_id"] for document in store.list(None, 2)] == ["new", "middle"]
    assert list(store.list(None, 0)) == []


def test_a_list_can_be_of_one_status(store: TaskStore) -> None:
    """And then the limit counts only those."""
    for number in range(4):
        status = "failed" if number % 2 else "queued"
        store.insert(queued(f"t{number}", status=status, created_at=NOON + timedelta(hours=number)))
    assert [document["_id"] for document in store.list("failed", 10)] == ["t3", "t1"]
    assert [document["_id"] for document in store.list("queued", 1)] == ["t2"]
    assert list(store.list("running", 10)) == []


def test_a_list_leaves_out_what_is_bulky(store: TaskStore) -> None:
    """A list of tasks with large files must not become large itself."""
    store.insert(queued(files={"a": "x"}, stdin="y", labels={"k": "v"}))
    (listed,) = store.list(None, 10)
    assert listed == queued(labels={"k": "v"})


def test_a_claim_puts_the_lease_into_the_document(store: TaskStore) -> None:
    """The document that a claim returns is the stored one."""
    store.insert(queued())
    claimed = store.claim("t1", "worker", "one", TTL)
    assert claimed is not None
    assert claimed == store.find("t1")
    lease = Task.from_document(claimed).lease
    assert lease is not None
    assert (lease.worker, lease.token) == ("worker", "one")
    assert abs(lease.expires_at - datetime.now(UTC) - timedelta(seconds=TTL)) < timedelta(seconds=TTL / 2)


def test_a_held_task_is_not_to_be_had(store: TaskStore) -> None:
    """Not even by a worker of the same name."""
    store.insert(queued())
    store.claim("t1", "worker", "one", TTL)
    assert store.claim("t1", "worker", "two", TTL) is None
    assert stored(store).lease.token == "one"


def test_a_claim_repeated_after_a_lost_reply_succeeds(store: TaskStore) -> None:
    """The worker whose first claim was stored must not be told that somebody else has the task."""
    store.insert(queued())
    store.claim("t1", "worker", "one", TTL)
    again = store.claim("t1", "worker", "one", TTL)
    assert again is not None
    assert again["lease"]["token"] == "one"


def test_names_of_workers_are_never_taken_for_expressions(store: TaskStore) -> None:
    """A dollar sign in a name is a dollar sign."""
    store.insert(queued())
    claimed = store.claim("t1", "$status", "$$NOW", TTL)
    assert claimed is not None
    assert (claimed["lease"]["worker"], claimed["lease"]["token"]) == ("$status", "$$NOW")
    assert store.claim("t1", "w", "$lease.token", TTL) is None


@pytest.mark.parametrize("status", sorted(TERMINAL))
def test_a_terminal_or_unknown_task_is_not_to_be_had(store: TaskStore, status: State) -> None:
    """A late delivery of its queue entry changes nothing."""
    store.insert(queued(status=status.value))
    assert store.claim("t1", "worker", "one", TTL) is None
    assert store.claim("nobody", "worker", "one", TTL) is None
    assert store.find("t1") == queued(status=status.value)


def test_a_finished_task_is_not_to_be_had_with_its_old_token(store: TaskStore) -> None:
    """The token stays in the document, but it is no claim any more."""
    finished(store)
    assert store.claim("t1", "worker", "one", TTL) is None


@pytest.mark.parametrize("lease", [None, {}, "x", [], ["y"], 5, {"token": None}, {"expires_at": None}], ids=repr)
def test_a_lease_that_no_worker_wrote_holds_nothing(store: TaskStore, lease: object) -> None:
    """A foreign document may have anything there."""
    store.insert(queued(lease=lease))
    claimed = store.claim("t1", "worker", "one", TTL)
    assert claimed is not None
    assert Task.from_document(claimed).lease.token == "one"


def test_of_many_claims_at_once_one_wins(store: TaskStore) -> None:
    """Sixteen deliveries of one task start it once."""
    store.insert(queued())
    claims = race(lambda number: store.claim("t1", f"w{number}", f"token{number}", TTL))
    winners = [number for number, claim in enumerate(claims) if claim is not None]
    assert len(winners) == 1
    assert stored(store).lease.token == f"token{winners[0]}"


def test_a_lease_expires_by_the_clock_of_the_database(store: TaskStore) -> None:
    """Nobody has to give it back."""
    ttl = 0.3
    store.insert(queued())
    store.claim("t1", "worker", "one", ttl)
    begun = time.monotonic()
    while store.claim("t1", "other", "two", TTL) is None:
        assert time.monotonic() < begun + 10
    assert time.monotonic() - begun > ttl / 2
    assert store.renew({"t1": "one"}, TTL) == frozenset()
    with pytest.raises(Superseded):
        store.advance(move(token="one"))


def test_of_many_claims_on_an_expired_lease_one_wins(store: TaskStore) -> None:
    """All sweepers see the same lease run out."""
    store.insert(queued())
    store.claim("t1", "dead", "zero", EXPIRED)
    claims = race(lambda number: store.claim("t1", f"w{number}", f"token{number}", TTL))
    assert sum(claim is not None for claim in claims) == 1


def test_a_renewed_lease_holds_on(store: TaskStore) -> None:
    """Renewing counts from now, not from the claim; an expired lease that nobody took is still held."""
    store.insert(queued())
    store.claim("t1", "worker", "one", EXPIRED)
    assert store.renew({"t1": "one"}, TTL) == {"t1"}
    assert store.claim("t1", "other", "two", TTL) is None
    assert stored(store).lease.worker == "worker"


def test_renewing_tells_which_leases_are_lost(store: TaskStore) -> None:
    """One call for all of a worker's tasks; the tasks of others are left alone."""
    for name in ("mine", "taken", "released", "other"):
        store.insert(queued(name))
        store.claim(name, "worker", f"{name} 1", EXPIRED if name == "taken" else TTL)
    store.claim("taken", "thief", "taken 2", TTL)
    store.let_go("released", "released 1")
    before = {name: store.find(name) for name in ("taken", "released", "other")}
    tokens = {"mine": "mine 1", "taken": "taken 1", "released": "released 1", "gone": "gone 1"}
    assert store.renew(tokens, TTL) == {"mine"}
    assert store.renew({}, TTL) == frozenset()
    assert {name: store.find(name) for name in before} == before


def test_a_released_task_can_be_claimed_at_once(store: TaskStore) -> None:
    """Only its holder can release it."""
    store.insert(queued())
    store.claim("t1", "worker", "one", TTL)
    store.let_go("t1", "two")
    assert store.claim("t1", "other", "two", TTL) is None
    store.let_go("t1", "one")
    store.let_go("t1", "one")
    store.let_go("nobody", "one")
    assert store.claim("t1", "other", "two", TTL) is not None


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
    """There is no way around the lease."""
    store.insert(queued())
    with pytest.raises(Superseded):
        store.advance(move())
    assert store.find("t1") == queued()


def test_a_move_repeated_after_a_lost_reply_succeeds(store: TaskStore) -> None:
    """It is applied once, and its holder is told so."""
    store.insert(queued())
    store.claim("t1", "worker", "one", TTL)
    step = evolve(move(message="hello"), entry=evolve(move().entry, at=NOON.replace(microsecond=123456)))
    assert store.advance(step) == store.advance(step)
    assert len(stored(store).history) == 1


def test_a_last_move_repeated_after_a_lost_reply_succeeds(store: TaskStore) -> None:
    """Also then the lease is free already."""
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
    """It has run out, so nobody waits for it; the token stays to tell a repeat from a stranger."""
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
    """Until somebody has published all of it and released what it used."""
    finished(store)
    assert not stored(store).settled
    assert [document["_id"] for document in store.unsettled(10)] == ["t1"]
    store.settle("t1", 4)
    store.settle("t1", 4)
    assert (stored(store).settled, stored(store).published) == (True, 4)
    assert list(store.unsettled(10)) == []


def test_only_ends_are_settled(store: TaskStore) -> None:
    """A late call for a task that goes on changes nothing."""
    store.insert(queued())
    store.settle("t1", 4)
    store.settle("nobody", 4)
    assert store.find("t1") == queued()
    assert store.find("nobody") is None
    assert list(store.unsettled(10)) == []


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
    """Its outcome stands; whoever asks is told it."""
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
    """A repeat after a lost reply is told yes all the same."""
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


def test_a_claim_binds_the_task_to_an_engine(store: TaskStore) -> None:
    """Only there is its container; other engines' workers cannot have it, not even when it is free."""
    store.insert(queued())
    assert store.claim("t1", "worker", "one", TTL, "engine a")["engine"] == "engine a"
    assert store.claim("t1", "worker", "one", TTL, "engine a") is not None
    assert store.claim("t1", "worker", "one", TTL, "engine b") is None
    store.let_go("t1", "one")
    before = store.find("t1")
    assert store.claim("t1", "other", "two", TTL, "engine b") is None
    assert store.find("t1") == before
    assert store.claim("t1", "other", "two", TTL, "engine a") is not None


def test_a_claim_without_an_engine_takes_the_task_wherever_it_is(store: TaskStore) -> None:
    """And leaves it there."""
    store.insert(queued())
    assert store.claim("t1", "worker", "one", EXPIRED).get("engine") is None
    store.claim("t1", "worker", "two", EXPIRED, "$engine")
    assert store.claim("t1", "worker", "three", TTL)["engine"] == "$engine"


def test_a_task_is_freed_from_its_engine_when_nobody_holds_it(store: TaskStore) -> None:
    """And only from the engine that was meant."""
    store.insert(queued())
    store.claim("t1", "worker", "one", TTL, "engine a")
    store.unbind("t1", "engine a")
    assert stored(store).engine == "engine a"
    store.let_go("t1", "one")
    store.unbind("t1", "engine b")
    assert stored(store).engine == "engine a"
    store.unbind("t1", "engine a")
    store.unbind("nobody", "engine a")
    assert stored(store).engine is None
    assert store.claim("t1", "other", "two", TTL, "engine b") is not None


def test_an_expired_holder_does_not_keep_a_task_at_its_engine(store: TaskStore) -> None:
    """Its engine is gone for good, perhaps."""
    store.insert(queued())
    store.claim("t1", "dead", "one", EXPIRED, "engine a")
    store.unbind("t1", "engine a")
    assert stored(store).engine is None
    store.insert(queued("never bound"))
    store.unbind("never bound", "engine a")
    assert stored(store, "never bound").engine is None


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
    """Or one would remove the containers of the other."""
    other = next(corners(servers.environment))
    stranger = MongoTaskStore(other.settings)
    assert len({store.deployment(), stranger.deployment(), MemoryTaskStore().deployment()}) == 3
    stranger.close()
    other.wipe()


ENGINES = st.sampled_from(["engine a", "engine b"])
OPERATIONS = st.one_of(
    st.tuples(st.just("claim"), st.sampled_from("ab"), st.sampled_from([TTL, EXPIRED]), st.none() | ENGINES),
    st.tuples(st.just("renew"), st.sampled_from("ab"), st.sampled_from([TTL, EXPIRED])),
    st.tuples(st.just("let_go"), st.sampled_from("ab")),
    st.tuples(st.just("advance"), st.sampled_from("ab"), st.integers(1, 4), st.booleans()),
    st.tuples(st.just("settle"), st.integers(0, 4)),
    st.tuples(st.just("request_cancel")),
    st.tuples(st.just("cancelled")),
    st.tuples(st.just("unbind"), ENGINES),
)


@hypothesis_settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(OPERATIONS, max_size=14))
def test_the_twins_agree(real_store: MongoTaskStore, operations: list[tuple]) -> None:
    """Any sequence of calls by two workers has the same answers and leaves the same document, dates of leases apart."""
    twins: list[TaskStore] = [MemoryTaskStore(), real_store]
    name = uuid.uuid4().hex
    for store in twins:
        store.insert(queued(name))
    for operation in operations:
        memory, real = (answer(store, name, *operation) for store in twins)
        assert memory == real
    assert undated(twins[0].find(name)) == undated(twins[1].find(name))


def answer(store: TaskStore, task_id: str, verb: str, *arguments: object) -> object:
    """What a call by one of two workers says, in a form that can be compared."""
    match verb, *arguments:
        case "claim", token, ttl, engine:
            said = store.claim(task_id, "w", token, ttl, engine)
        case "renew", token, ttl:
            said = store.renew({task_id: token}, ttl)
        case "cancelled", *_:
            said = store.cancelled([task_id])
        case "advance", token, seq, unless_cancelled:
            try:
                said = store.advance(evolve(move(token, seq, task_id), unless_cancelled=unless_cancelled))
            except (Superseded, CancelRequested) as refusal:
                said = type(refusal)
        case _:
            said = getattr(store, verb)(task_id, *arguments)
    return undated(said) if isinstance(said, dict) else said


def undated(document: Mapping[str, object] | None) -> object:
    """The document with what was set by the database's clock reduced to whether it is set; no engine is the null one."""
    if document is None:
        return None
    lease = document.get("lease")
    asked = document.get("cancel_requested_at") is not None
    return {
        **document,
        "engine": document.get("engine"),
        "cancel_requested_at": asked,
        "lease": lease and {**lease, "expires_at": lease["expires_at"] > datetime.now(UTC) + timedelta(seconds=1)},
    }


def test_lists_and_sweeps_have_their_indexes(real_store: MongoTaskStore) -> None:
    """MongoDB sorts by created_at and finds what is to be settled without reading every task."""
    keys = {tuple(index["key"]) for index in real_store._tasks.list_indexes()}
    assert {("created_at",), ("status", "created_at"), ("settled",)} <= keys
