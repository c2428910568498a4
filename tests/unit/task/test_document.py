"""A task is what is stored: it survives being written and read, and what is not a task is refused."""

from datetime import datetime

import pytest
from attrs import fields
from hypothesis import given

from orchestrator.cause import Cause
from orchestrator.errors import InvalidTask
from orchestrator.task.codec import to_document
from orchestrator.task.document import Task
from orchestrator.task.values import Outcome
from statemachine import State
from tests.support import junk
from tests.support.tasks import BEGAN, entries, finished

PLAIN = {dict, list, str, int, float, bool, datetime, type(None)}
OWN = [field.name for field in fields(Task) if field.name not in {"id", "request"}]


BEGUN = {"_id": "t1", "status": "running", "seq": 1, "attempt": 1, "history": to_document({"h": entries()[:1]})["h"]}


def stored(task: Task) -> dict[str, object]:
    """The document of a task."""
    own = to_document({name: getattr(task, name) for name in OWN})
    return {"_id": task.id, **task.request, **own}


def types_in(value: object) -> set[type]:
    """The types of a value and of all that is in it."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return {type(value)}.union(*map(types_in, inner))


def test_task_survives_the_database() -> None:
    """With every field set."""
    assert Task.from_document(stored(finished())) == finished()


def test_stored_form_is_plain() -> None:
    """A database driver meets no class, enum or tuple of this package."""
    assert types_in(stored(finished())) <= PLAIN


def test_changes_are_stored_by_name() -> None:
    """Some of the fields, as a unit of work hands them in."""
    changes = to_document({"cause": Cause.OOM, "container": None, "evidence": {"a": (1, Cause.EXIT)}})
    assert changes == {"cause": "oom", "container": None, "evidence": {"a": [1, "exit"]}}
    assert types_in(changes) <= PLAIN


def test_fresh_document_is_read() -> None:
    """As another service inserts it: its own fields stay together, unchecked; all others have their first value."""
    task = Task.from_document({"_id": "t1", "status": "queued", "image": 5, "priority": 1, "cause": None})
    assert task == Task("t1", State.QUEUED, {"image": 5, "priority": 1})
    assert task.outcome == Outcome(None, None, "")


@pytest.mark.parametrize(
    "foreign", [None, 5, [], {}, [5], junk.nested(5000)], ids=["null", "number", "list", "map", "numbers", "deep"]
)
def test_what_a_foreign_hand_wrote_into_a_fresh_task_is_ignored(foreign: object) -> None:
    """Before the first transition the worker's fields mean nothing, so they cannot make a task unreadable."""
    document = dict.fromkeys(OWN, foreign) | {"_id": "t1", "status": "queued", "history": []}
    assert Task.from_document(document) == Task("t1", State.QUEUED, {})


@pytest.mark.parametrize("written", ["2026-01-02T03:04:05.678+00:00", "2026-01-02T03:04:05.678Z", BEGAN])
def test_date_of_creation_may_be_text(written: object) -> None:
    """Many languages write dates so; what cannot be read as one is left out."""
    assert Task.from_document({"_id": "t1", "status": "queued", "created_at": written}).created_at == BEGAN


def test_blank_fields_are_those_of_a_fresh_task() -> None:
    """Writing them with the first transition wipes out what a foreign hand left."""
    fresh = Task("t1", State.QUEUED, {})
    assert to_document(Task.blank()).items() <= to_document({name: getattr(fresh, name) for name in OWN}).items()
    assert {*OWN} - Task.blank().keys() == {
        "status", "seq", "history", "created_at", "lease", "engine", "cancel_requested_at", "nonce",
    }  # fmt: skip


def test_whole_numbers_may_be_stored_as_doubles() -> None:
    """Some drivers know no other number, and the database finds 1.0 equal to 1."""
    task = Task.from_document({**BEGUN, "seq": 1.0})
    assert type(task.seq) is int


@pytest.mark.parametrize(
    ("field", "bad"),
    [
        ("status", ["done", 5, "", ["queued"]]),
        ("seq", ["0", True, 0.5, float("nan"), float("inf"), [], {}]),
        ("attempt", ["1", 1.5]),
        ("attempts", [5, "x", [5], [{}]]),
        ("engine", [5, []]),
        ("settled", [5, "no"]),
        ("history", [5, "x", {}, [5], [{}], [{"seq": 1}], ["x"], junk.nested(5000)]),
        ("worker", [5, []]),
        ("container", ["x", {}, {"id": 1, "name": "a", "engine": "b"}]),
        ("exit_code", ["0", 1.5, True]),
        ("cause", ["boredom", 5, ""]),
        ("message", [5, junk.nested(5000)]),
        ("evidence", [5, [], "x"]),
        ("logs", [{}, [], "x"]),
        ("metrics", [{}, {"samples": 1, "duration_s": "2"}]),
        ("lease", [{}, {"worker": "a", "token": "b", "expires_at": "soon"}]),
    ],
)
def test_document_with_a_bad_field_of_the_worker_is_refused(field: str, bad: list[object]) -> None:
    """Nothing is made to fit: what is compared and set has to be what is stored."""
    for value in bad:
        with pytest.raises(InvalidTask, match=field):
            Task.from_document({"_id": "t1", "status": "running", field: value})


@given(junk.values, junk.values)
def test_any_document_is_read_or_refused(first: object, second: object) -> None:
    """Nothing but InvalidTask comes out, whatever is in the fields that the worker owns."""
    for name in OWN:
        document = {**BEGUN, "image": second, name: first}
        try:
            assert Task.from_document(document).request == {"image": second}
        except InvalidTask as invalid:
            assert name in str(invalid)  # noqa: PT017


def test_what_contradicts_its_own_history_is_refused() -> None:
    """However well-formed: a task that never moved cannot run, nor be at its billionth attempt."""
    forged = [{"status": "collecting"}, {"seq": 2}, {"attempt": 10**9}, {"published": 2}, {"history": [], "seq": 0}]
    assert Task.from_document(BEGUN).status is State.RUNNING
    for change in forged:
        with pytest.raises(InvalidTask, match="history"):
            Task.from_document({**BEGUN, **change})
