"""Whole documents, inserted raw by a hostile hand: each ends failed and invalid, its bad fields named, nothing started."""

import tempfile
import uuid
from collections.abc import Mapping
from pathlib import Path

import pytest
from attrs import fields
from bson import Binary, ObjectId
from hypothesis import example, given, settings
from hypothesis import strategies as st

from orchestrator.adapters.redis.event_bus import _channel
from orchestrator.cause import Cause
from orchestrator.errors import InvalidTask
from orchestrator.execution.naming import container_name, named
from orchestrator.task.document import Task
from orchestrator.task.event import Event
from orchestrator.task.request import is_id
from orchestrator.testing.task_store import MemoryTaskStore
from statemachine import TERMINAL, State
from tests.support import junk
from tests.support.tasks import BEGAN
from tests.support.world import World
from tests.unit.task.bad_input import CORPUS, FOREIGN, IDS, STRANGE_IDS, Bad

MIB = 1 << 20
OWN = [field.name for field in fields(Task) if field.name not in {"id", "request"}]
LONGEST = 20_000
SWEEPS = 3


def ended(world: World, document: Mapping[str, object]) -> Task:
    """Insert the document as it is, deliver its id, and let sweeps look at it; the task then, which has to have ended."""
    world.services.store.insert(document)
    world.worker().run(document["_id"])
    for _ in range(SWEEPS):
        world.clock.advance(world.settings.engine_patience + world.settings.lease_ttl)
        world.sweep().once(30)
        while (queued := world.services.queue.take()) is not None:
            world.worker().run(queued)
    stored = world.services.store.find(document["_id"])
    assert stored
    assert stored["status"] in TERMINAL
    return Task.from_document(stored)


def check(world: World, task: Task) -> None:
    """What holds of every task that was refused: a sentence for each field, one event, one row, nothing made or left."""
    assert (task.status, task.cause) == (State.FAILED, Cause.INVALID)
    assert task.message
    assert len(task.message) < LONGEST
    assert [row.seq for row in task.history] == list(range(1, task.seq + 1))
    assert world.published[-1] == Event.of(task, task.history[-1], world.services.deployment)
    assert not world.engine.starts
    assert not world.engine.containers
    assert task.settled


@pytest.mark.parametrize("bad", CORPUS, ids=str)
def test_a_bad_field_is_named_and_nothing_is_started(tmp_path: Path, bad: Bad) -> None:
    """Whatever its owner wrote there."""
    world = World(tmp_path)
    task = ended(world, {"_id": "t", "status": "queued", "image": "busybox", **bad.fields})
    check(world, task)
    named_fields = {problem.partition(":")[0] for problem in task.evidence["problems"]}
    assert named_fields == {*bad.names} or (bad.fields.get("limits") == {"": 1} and named_fields)


@pytest.mark.parametrize("bad", FOREIGN, ids=str)
def test_what_no_worker_wrote_is_ended_too(tmp_path: Path, bad: Bad) -> None:
    """A document that cannot be read is stripped, and its task ends with the field named where it was not overwritten."""
    world = World(tmp_path)
    task = ended(world, {"_id": "t", "status": "queued", "image": "No Image", **bad.fields})
    check(world, task)
    if "lease" not in bad.names and "engine" not in bad.names:
        assert any(name in task.message for name in bad.names)


_OWN_JUNK = st.dictionaries(st.sampled_from(OWN), junk.values, max_size=4)
_STATUS = st.one_of(st.just("queued"), st.sampled_from([*State]), junk.values)


@settings(max_examples=300)
@example({}, {"engine": "elsewhere"}, None)
@example({}, {"engine": "elsewhere"}, [])
@given(junk.documents, _OWN_JUNK, _STATUS)
def test_any_document_ends(document: dict[str, object], own: dict[str, object], status: object) -> None:
    """Or the database refuses it: nothing is raised, nothing is stuck, nothing is left, and nothing invalid is started."""
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        try:
            task = ended(world, {**document, **own, "_id": "t", "status": status})
        except InvalidTask:
            return
        assert not world.engine.containers
        if task.cause is Cause.INVALID:
            assert task.message
            assert not world.engine.starts


@pytest.mark.parametrize("short", [20, 60, 100, 200, 400, 2000, MIB // 2])
@pytest.mark.parametrize("field", ["stdin", "command", "x", "a.b", "$x", "message", "history"])
def test_a_document_that_leaves_no_room_ends_all_the_same(tmp_path: Path, field: str, short: int) -> None:
    """Even the lease does not fit into some: nothing is kept of them but id and date."""
    world = World(tmp_path)
    content = "x" * ((16 << 20) - short - 100)
    task = ended(world, {"_id": "t", "status": "queued", "image": "busybox", "created_at": BEGAN, field: content})
    check(world, task)
    assert "bytes" in task.message
    assert task.created_at == BEGAN


class _HeldForAMoment(MemoryTaskStore):
    """Somebody else holds the task at the first wish to reset it, and has let it go a moment later."""

    held = True

    def reset(self, task_id: str) -> None:
        if self.held:
            self.held = False
        else:
            super().reset(task_id)


def test_two_that_find_the_same_bad_document_at_once_both_let_it_end(tmp_path: Path) -> None:
    """A delivery and a sweep, say: neither dies of what the other has not reset yet."""
    world = World(tmp_path, store=_HeldForAMoment)
    world.services.store.insert({"_id": "t", "status": "running", "image": "busybox", "history": 5})
    task = world.worker().run("t")
    assert (task.status, task.cause) == (State.FAILED, Cause.INVALID)
    assert "history" in task.message


def test_a_document_that_cannot_be_stored_is_refused_with_a_sentence(tmp_path: Path) -> None:
    """By the client, before anything is stored."""
    world = World(tmp_path)
    for document in ({"stdin": "x" * (20 << 20)}, {"labels": {"a\0": "x"}}, {"env": {"A": "\ud800"}}, {"retries": 1 << 70}):
        with pytest.raises(InvalidTask, match=next(iter(document)) + "|task: has"):
            world.client.submit({"image": "busybox", **document})
    assert not world.client.list()


@pytest.mark.parametrize("task_id", STRANGE_IDS, ids=repr)
def test_an_id_that_is_no_string_ends_its_task(tmp_path: Path, task_id: object) -> None:
    """Its events carry a name that no string id can have, so that nobody else is told of it."""
    world = World(tmp_path)
    task = ended(world, {"_id": task_id, "status": "queued", "image": "busybox"})
    check(world, task)
    assert "_id" in task.message
    assert not is_id(world.published[-1].task_id)


def test_an_id_is_taken_once(tmp_path: Path) -> None:
    """The second document of an id is refused by the database, and the first one's task is not disturbed."""
    world = World(tmp_path)
    world.client.submit({"image": "busybox"}, "t")
    with pytest.raises(Exception, match="exists already"):
        world.services.store.insert({"_id": "t", "status": "queued", "image": "other"})
    assert world.client.get("t").request["image"] == "busybox"


_names = st.one_of(st.sampled_from(IDS), st.text(st.sampled_from("aA0-_./: *\u00e4"), max_size=8), junk.text)


@given(_names, _names, st.integers(1, 99), st.integers(1, 99))
def test_no_two_ids_can_be_confused(one: str, other: str, first: int, second: int) -> None:
    """In names of containers, volumes and spool folders, in channels, or in object keys, whatever their attempts are."""
    assert (_channel(one) == _channel(other)) == (one == other)
    if is_id(one) and is_id(other):
        same = (one, first) == (other, second)
        assert (container_name(one, first) == container_name(other, second)) == same
        assert (f"{one}/{first}/stdout" == f"{other}/{second}/stdout") == same
        assert named(container_name(one, first)) == (one, first)
        assert f"{container_name(one, first)}-files" != container_name(other, second)


@pytest.mark.parametrize("task_id", IDS, ids=repr)
def test_an_id_is_a_plain_name_or_refused(tmp_path: Path, task_id: str) -> None:
    """What is accepted is one part of a path, safe in every shell and URL; all others end invalid before they name anything."""
    world = World(tmp_path)
    task = ended(world, {"_id": task_id, "status": "queued", "image": "busybox"})
    plain = task_id.isascii() and task_id[:1].isalnum() and task_id.replace("-", "").replace("_", "").replace(".", "").isalnum()
    assert is_id(task_id) == (plain and len(task_id) <= 128)
    if is_id(task_id):
        assert task.status is State.SUCCEEDED
    else:
        check(world, task)
        assert task.message.startswith("_id: ")


@pytest.mark.parametrize("odd", [{"a": 1}, ObjectId("66" * 12), Binary.from_uuid(uuid.UUID(int=7)), b"id", 3.5], ids=repr)
def test_an_id_that_is_no_name_ends_its_task_by_a_sweep_too(tmp_path: Path, odd: object) -> None:
    """Where nobody ever put it in line; and it holds up nobody. MongoDB's driver makes an ObjectId where there is none."""
    world = World(tmp_path)
    world.services.store.insert({"_id": odd, "status": "queued", "image": "busybox"})
    world.services.store.insert({"_id": {"b": 1}, "status": "running", "image": "busybox", "history": 5})
    world.client.submit({"image": "busybox"}, "t")
    for _ in range(SWEEPS):
        world.clock.advance(world.settings.lease_ttl)
        world.sweep().once(30)
        while (queued := world.services.queue.take()) is not None:
            world.worker().run(queued)
    assert {str(task.id): task.cause for task in world.client.list()} == {
        str(odd): Cause.INVALID,
        "{'b': 1}": Cause.INVALID,
        "t": None,
    }
    assert not world.sweep().plan()
