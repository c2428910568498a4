"""The TaskStore's contract: many tasks in one write, on the store in memory and on the one for MongoDB."""

import pytest

from orchestrator.errors import DuplicateTask, InvalidTask
from orchestrator.ports import TaskStore
from tests.support.stored import queued


def test_what_is_inserted_comes_back_as_it_is_stored(store: TaskStore) -> None:
    """So nobody has to read it back."""
    document = queued(command=("sh", "-c", "true"), stdin=b"\0", env={"a.b": "$c"})
    assert store.insert(document) == store.find("t1")
    assert store.insert_many([{**document, "_id": "t2"}]) == [store.find("t2")]


def test_many_are_inserted_at_once_in_their_order(store: TaskStore) -> None:
    """More than the database takes in one batch of a cursor."""
    documents = [queued(f"t{number}") for number in range(1000)]
    assert store.insert_many(documents) == documents
    assert [store.find(f"t{number}") for number in (0, 500, 999)] == [documents[number] for number in (0, 500, 999)]


def test_of_many_each_is_refused_for_itself(store: TaskStore) -> None:
    """An id that is taken, also by an earlier one of them, or a value that cannot be stored, changes nothing for the others."""
    store.insert(queued("taken"))
    others = [queued("taken", image="other"), queued("twice"), queued("twice", image="other")]
    bad = [queued("bad", env={1, 2}), queued("large", stdin=b"x" * (17 << 20))]
    results = store.insert_many([queued("first"), *others, *bad, queued("last")])
    assert [type(result) for result in results] == [dict, DuplicateTask, dict, DuplicateTask, InvalidTask, InvalidTask, dict]
    assert (store.find("taken"), store.find("twice")) == (queued("taken"), queued("twice"))
    assert [store.find(name) for name in ("first", "bad", "large", "last")] == [queued("first"), None, None, queued("last")]


@pytest.mark.parametrize("documents", [[], [queued("bad", env={1, 2})]])
def test_none_is_inserted_without_a_word(store: TaskStore, documents: list[dict[str, object]]) -> None:
    """Neither of an empty batch, nor of one in which nothing can be stored."""
    assert [type(result) for result in store.insert_many(documents)] == [InvalidTask] * len(documents)
    assert store.find("bad") is None
