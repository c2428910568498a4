"""The store in memory against the one for MongoDB: the same calls, the same answers."""

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from attrs import evolve
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from orchestrator.adapters.mongo.task_store import MongoTaskStore
from orchestrator.errors import CancelRequested, Superseded
from orchestrator.ports import TaskStore
from orchestrator.testing.task_store import MemoryTaskStore
from tests.support.stored import EXPIRED, TTL, move, queued

ENGINES = st.sampled_from(["engine a", "engine b"])
OPERATIONS = st.one_of(
    st.tuples(st.just("claim"), st.sampled_from("ab"), st.sampled_from([TTL, EXPIRED]), st.none() | ENGINES),
    st.tuples(st.just("renew"), st.sampled_from("ab"), st.sampled_from([TTL, EXPIRED])),
    st.tuples(st.just("begin"), st.sampled_from("ab"), st.sampled_from("cd"), st.sampled_from([TTL, EXPIRED])),
    st.tuples(st.just("let_go"), st.sampled_from("ab"), st.booleans()),
    st.tuples(st.just("advance"), st.sampled_from("ab"), st.integers(1, 4), st.booleans()),
    st.tuples(st.just("settle"), st.sampled_from([None, "a", "b"]), st.integers(0, 4)),
    st.tuples(st.just("request_cancel")),
    st.tuples(st.just("cancelled")),
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
    """The result of a call by one of two workers, in a form that can be compared."""
    match verb, *arguments:
        case "claim", token, ttl, engine:
            said = store.claim(task_id, "w", token, ttl, engine)
        case "renew", token, ttl:
            said = store.renew({task_id: token}, ttl)
        case "let_go", token, unbind:
            said = store.let_go(task_id, token, unbind=unbind)
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
