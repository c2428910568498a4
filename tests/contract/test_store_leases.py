"""The TaskStore's contract: who holds a task, and where."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.cause import Cause
from orchestrator.errors import Superseded
from orchestrator.ports import TaskStore
from orchestrator.task.document import Task
from orchestrator.task.values import LONGEST_LEASE, Ending, Input
from statemachine import TERMINAL, State
from tests.support import pace
from tests.support.stored import EXPIRED, TTL, finished, move, queued, race, stored


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


def test_the_first_claim_gives_a_task_what_tells_it_from_others_of_its_id(store: TaskStore) -> None:
    """It stays, no matter who claims it later; a foreign hand that wrote something else there has written nothing."""
    store.insert(queued() | {"nonce": 5})
    store.claim("t1", "worker", "one", TTL)
    assert store.claim("t1", "worker", "two", TTL) is None
    store.let_go("t1", "one")
    claimed = store.claim("t1", "worker", "three", TTL)
    assert claimed
    assert Task.from_document(claimed).nonce == "one"
    assert store.standing(["t1"])["t1"]["nonce"] == "one"


def test_a_held_task_is_not_to_be_had(store: TaskStore) -> None:
    """Not even by a worker of the same name."""
    store.insert(queued())
    store.claim("t1", "worker", "one", TTL)
    assert store.claim("t1", "worker", "two", TTL) is None
    assert stored(store).lease.token == "one"


def test_a_claim_repeated_after_a_lost_reply_succeeds(store: TaskStore) -> None:
    """A worker whose first claim was stored must not learn that another worker has the task."""
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


@pytest.mark.parametrize("ends", [datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC), "tomorrow"], ids=str)
def test_a_lease_that_ends_when_none_can_holds_nothing(store: TaskStore, ends: object) -> None:
    """No worker took it: a token without a lease blocks no claim."""
    store.insert(queued(lease={"worker": "nobody", "token": "x", "expires_at": ends}))
    assert store.claim("t1", "worker", "one", TTL) is not None
    assert store.claim("t1", "other", "two", TTL) is None
    assert store.advance(move())["status"] == "running"


def test_the_longest_lease_holds(store: TaskStore) -> None:
    """A lease that a worker may take never counts as impossible."""
    store.insert(queued())
    store.claim("t1", "worker", "one", LONGEST_LEASE)
    assert store.claim("t1", "other", "two", TTL) is None
    assert store.renew({"t1": "one"}, LONGEST_LEASE) == {"t1"}
    assert store.claim("t1", "other", "two", TTL) is None


@pytest.mark.parametrize("made", [datetime(9999, 12, 31, tzinfo=UTC), "some day", None], ids=str)
def test_a_task_made_in_the_future_can_be_had(store: TaskStore, made: object) -> None:
    """The creation time is only shown and used for sorting."""
    store.insert(queued(created_at=made))
    assert [document["_id"] for document in store.waiting(10)] == ["t1"]
    assert store.claim("t1", "worker", "one", TTL) is not None


def test_of_many_claims_at_once_one_wins(store: TaskStore) -> None:
    """Sixteen deliveries of one task start it once."""
    store.insert(queued())
    claims = race(lambda number: store.claim("t1", f"w{number}", f"token{number}", TTL))
    winners = [number for number, claim in enumerate(claims) if claim is not None]
    assert len(winners) == 1
    assert stored(store).lease.token == f"token{winners[0]}"


def test_a_lease_expires_by_the_clock_of_the_database(store: TaskStore) -> None:
    """It needs no release."""
    ttl = 0.3
    store.insert(queued())
    begun = time.monotonic()
    store.claim("t1", "worker", "one", ttl)
    while store.claim("t1", "other", "two", TTL) is None:
        assert time.monotonic() < begun + pace.seconds(10)
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


def test_who_holds_a_task_notes_which_container_it_is_about_to_start(store: TaskStore) -> None:
    """That holds the lease on, and the next holder reads it; a name is never taken for an expression."""
    store.insert(queued())
    store.claim("t1", "worker", "one", EXPIRED)
    assert store.begin("t1", "one", "$status", TTL)
    assert store.begin("t1", "one", "$status", TTL)
    assert store.claim("t1", "other", "two", TTL) is None
    store.let_go("t1", "one")
    claimed = store.claim("t1", "other", "two", TTL)
    assert claimed is not None
    assert Task.from_document(claimed).starting == "$status"


def test_who_does_not_hold_a_queued_task_notes_nothing(store: TaskStore) -> None:
    """Neither whose lease was taken, nor who has moved it on."""
    store.insert(queued())
    store.claim("t1", "worker", "one", EXPIRED)
    store.claim("t1", "thief", "two", TTL)
    assert not store.begin("t1", "one", "c1", TTL)
    assert not store.begin("nobody", "one", "c1", TTL)
    store.advance(move(token="two"))
    before = store.find("t1")
    assert not store.begin("t1", "two", "c1", TTL)
    assert store.find("t1") == before


def test_who_holds_a_task_notes_what_became_of_its_input(store: TaskStore) -> None:
    """Also before its first transition, in place of what a foreign hand wrote. That the engine has all is not taken back."""
    store.insert(queued() | {"input": "a foreign hand"})
    store.claim("t1", "worker", "one", TTL)
    assert stored(store).input is None
    store.note_input("t1", "two", "c1", whole=True)
    assert stored(store).input is None
    store.note_input("t1", "one", "$status", whole=False)
    assert stored(store).input == Input("$status", whole=False)
    store.note_input("t1", "one", "c1", whole=True)
    store.note_input("t1", "one", "c1", whole=False)
    assert stored(store).input == Input("c1", whole=True)
    store.advance(move(**Task.blank()))
    assert stored(store).input is None
    store.note_input("t1", "one", "c1", whole=False)
    assert stored(store).input == Input("c1", whole=False)
    store.note_input("nobody", "one", "c1", whole=True)
    assert store.find("nobody") is None


def test_who_holds_a_task_notes_that_its_program_is_about_to_get_a_signal(store: TaskStore) -> None:
    """Only the holder sets it, and the first transition removes it."""
    store.insert(queued() | {"ending": 5})
    store.claim("t1", "worker", "one", TTL)
    store.note_ending("t1", "two", Ending("c1", Cause.TIMEOUT))
    assert stored(store).ending is None
    store.advance(move(**Task.blank()))
    assert stored(store).ending is None
    ending = Ending("$status", Cause.TIMEOUT, out_of_cpu=True)
    store.note_ending("t1", "one", ending)
    assert stored(store).ending == ending
    store.note_ending("nobody", "one", ending)
    assert store.find("nobody") is None


def test_who_holds_a_task_notes_which_objects_it_begins(store: TaskStore) -> None:
    """Each once, beside those of earlier holders. The first transition replaces what a foreign hand wrote."""
    store.insert(queued() | {"parts_begun": "a foreign hand"})
    store.claim("t1", "worker", "one", TTL)
    assert stored(store).parts_begun == ()
    store.advance(move(**Task.blank()))
    for key in ("t1/1/$a", "t1/1/b", "t1/1/$a"):
        store.note_parts("t1", "one", key)
    assert stored(store).parts_begun == ("t1/1/$a", "t1/1/b")
    for task_id, token in (("t1", "two"), ("nobody", "one")):
        with pytest.raises(Superseded):
            store.note_parts(task_id, token, "t1/1/c")
    assert stored(store).parts_begun == ("t1/1/$a", "t1/1/b")
    assert store.find("nobody") is None


@pytest.mark.parametrize("before", [None, 5])
def test_objects_are_noted_in_a_document_that_has_no_list_of_them(store: TaskStore, before: object) -> None:
    """As that of an earlier version, or of a foreign hand."""
    store.insert(queued() | {"parts_begun": before})
    store.claim("t1", "worker", "one", TTL)
    store.note_parts("t1", "one", "t1/1/a")
    assert (store.find("t1") or {})["parts_begun"] == ["t1/1/a"]


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


def test_a_task_let_go_of_unmade_is_bound_to_no_engine_again(store: TaskStore) -> None:
    """Any worker may have it at once; the reply to the claim may have been lost."""
    store.insert(queued())
    for _ in range(2):
        store.claim("t1", "worker", "one", TTL, "engine a")
    store.let_go("t1", "two", unbind=True)
    assert stored(store).engine == "engine a"
    store.let_go("t1", "one", unbind=True)
    assert (stored(store).engine, stored(store).lease) == (None, None)
    assert store.claim("t1", "other", "two", TTL, "engine b")["engine"] == "engine b"


def test_a_task_that_was_bound_before_stays_bound(store: TaskStore) -> None:
    """An earlier holder may have made something of it on that engine."""
    store.insert(queued())
    store.claim("t1", "dead", "one", EXPIRED, "engine a")
    store.claim("t1", "worker", "two", TTL, "engine a")
    store.let_go("t1", "two", unbind=True)
    assert (stored(store).engine, stored(store).holder) == ("engine a", None)


def test_a_task_that_has_moved_stays_bound(store: TaskStore) -> None:
    """The result of that attempt is on that engine."""
    store.insert(queued())
    store.claim("t1", "worker", "one", TTL, "engine a")
    store.advance(move())
    store.let_go("t1", "one", unbind=True)
    assert (stored(store).engine, stored(store).holder) == ("engine a", None)
