"""A task whose output is stored while it comes ends with the same log, and no part is left, whichever worker ends it."""

from pathlib import Path

import pytest

from orchestrator.errors import STORAGE, InfrastructureError
from orchestrator.output import ahead
from orchestrator.output.ahead import Ahead
from orchestrator.ports import Stream
from orchestrator.task.document import Task
from orchestrator.testing.object_store import MemoryObjectStore
from orchestrator.testing.programs import Program
from statemachine import State
from tests.support.faults import Fault, Killed, Process, When
from tests.support.world import World

REQUEST = {"image": "busybox", "command": ["program"]}
WROTE = bytes(range(100))


@pytest.fixture(autouse=True)
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """All full parts of ten bytes are sent before the end, as of a program that took its time."""
    finish = Ahead.finish

    def late(self: Ahead, *args: object) -> str:
        while not self.over and self.send():
            pass
        return finish(self, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(ahead, "PART", 10)
    monkeypatch.setattr(Ahead, "finish", late)


@pytest.fixture
def world(tmp_path: Path) -> World:
    """With a task."""
    world = World(tmp_path, {("program",): Program(stdout=WROTE, stderr=b"e" * 25)})
    world.client.submit(REQUEST, "t")
    return world


def whole(world: World, task: Task | None) -> Task:
    """The task, of which all is stored and nothing left."""
    assert task
    assert task.status is State.SUCCEEDED
    assert world.output(task, Stream.STDOUT) == WROTE
    assert world.output(task, Stream.STDERR) == b"e" * 25
    assert not world.services.logs._begun  # type: ignore[attr-defined]
    return task


def keys(world: World) -> list[str]:
    """All objects."""
    return [found.key for found in world.services.logs.listed()]


def named(world: World) -> bool:
    """Whether the document says that it names all objects. If it does not, others are looked for when the task is deleted."""
    return (world.services.store.find("t") or {}).get("objects_named") == 1


def test_the_objects_are_those_that_were_sent_ahead(world: World) -> None:
    """Nothing is sent twice."""
    process = Process()
    task = whole(world, world.worker(process).run("t"))
    assert task.logs
    assert sorted(keys(world)) == sorted([task.logs.stdout.key, task.logs.stderr.key])
    assert process.calls["put"] == process.calls["abort_parts"] == 0
    assert process.calls["complete_parts"] == 2
    assert named(world)


@pytest.mark.parametrize("call", ["begin_parts", "send_parts", "complete_parts"])
@pytest.mark.parametrize("when", When)
def test_where_it_fails_the_spool_is_stored_as_a_whole(world: World, call: str, when: When) -> None:
    """And nothing of the other way is left, not even an object whose answer was lost."""
    process = Process([Fault(call, 1, when, InfrastructureError(STORAGE, "away"))])
    task = whole(world, world.worker(process).run("t"))
    assert task.logs
    assert sorted(keys(world)) == sorted([task.logs.stdout.key, task.logs.stderr.key])
    assert named(world) is (call != "complete_parts")


@pytest.mark.parametrize(
    ("call", "nth"),
    [("begin_parts", 1), ("send_parts", 1), ("send_parts", 5), ("complete_parts", 1), ("complete_parts", 2), ("advance", 4)],
)
@pytest.mark.parametrize("when", When)
def test_another_worker_drops_what_a_dead_one_has_sent(world: World, call: str, nth: int, when: When) -> None:
    """Wherever that died."""
    process = Process([Fault(call, nth, when, Killed())])
    with pytest.raises(Killed):
        world.worker(process).run("t")
    world.expire_leases()
    world.sweep().once(60)
    whole(world, Task.from_document(world.services.store.find("t") or {}))


def test_the_sweep_drops_what_could_not_be_dropped_at_the_end(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Storage goes away after the first part of stderr, and comes back when the task has ended."""
    abort, away = MemoryObjectStore.abort_parts, [True]

    def refused(self: MemoryObjectStore, prefix: str) -> None:
        if away[0]:
            raise InfrastructureError(STORAGE, "away")
        abort(self, prefix)

    monkeypatch.setattr(MemoryObjectStore, "abort_parts", refused)
    process = Process([Fault("send_parts", 2, When.BEFORE, InfrastructureError(STORAGE, "away"))])
    task = world.worker(process).run("t")
    assert task
    assert task.status is State.SUCCEEDED
    assert world.services.logs._begun  # type: ignore[attr-defined]
    assert not (world.services.store.find("t") or {}).get("settled")
    away[0] = False
    world.expire_leases()
    world.sweep().once(60)
    whole(world, Task.from_document(world.services.store.find("t") or {}))
    assert (world.services.store.find("t") or {}).get("settled")


def test_a_program_with_little_output_makes_no_call_more(tmp_path: Path) -> None:
    """Nothing is begun, so nothing is looked for at the end."""
    world = World(tmp_path, {("program",): Program(stdout=b"0123456789")})
    world.client.submit(REQUEST, "t")
    process = Process()
    assert world.worker(process).run("t")
    assert [call for call in process.calls if call == "put" or call.endswith("_parts")] == ["put"]
