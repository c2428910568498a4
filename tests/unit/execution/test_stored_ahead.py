"""A task whose output is stored while it comes ends with the same log, and no part is left, whichever worker ends it."""

from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import STORAGE, InfrastructureError
from orchestrator.output import ahead
from orchestrator.output.ahead import Ahead
from orchestrator.ports import ContainerState, Stream
from orchestrator.settings.settings import Settings
from orchestrator.task.document import Task
from orchestrator.testing.engine import MemoryEngine
from orchestrator.testing.object_store import MemoryObjectStore
from orchestrator.testing.programs import Program
from statemachine import State
from tests.support.fault_wait import until
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
    process = Process([Fault("send_parts", 2, When.BEFORE, InfrastructureError(STORAGE, "away"))])
    with monkeypatch.context() as patch:
        patch.setattr(MemoryObjectStore, "abort_parts", refusing)
        task = world.worker(process).run("t")
    assert task
    assert task.status is State.SUCCEEDED
    assert begun(world)
    assert not stored(world).settled
    world.expire_leases()
    world.sweep().once(60)
    assert whole(world, stored(world)).settled


def test_a_program_with_little_output_makes_no_call_more(tmp_path: Path) -> None:
    """Nothing is begun, so nothing is looked for at the end."""
    world = World(tmp_path, {("program",): Program(stdout=b"0123456789")})
    world.client.submit(REQUEST, "t")
    process = Process()
    assert world.worker(process).run("t")
    assert [call for call in process.calls if call == "put" or call.endswith("_parts")] == ["put"]


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """With a task whose first attempt the infrastructure breaks once it has begun both objects."""
    hasty = Settings(retry_budget=0.0, upload_budget=0.0, orphan_grace=-1.0, spool_grace=-1.0)
    world = World(tmp_path, {("program",): Program(stdout=WROTE, stderr=b"e" * 25)}, settings=hasty)
    world.client.submit(REQUEST, "t")
    wait, broken = MemoryEngine.wait, list[str]()

    def breaking(self: MemoryEngine, container: str, *args: Any, **more: Any) -> ContainerState:
        if not broken:
            until(lambda: len(begun(world)) == 2)
            broken.append(container)
            raise InfrastructureError("docker", "away")
        return wait(self, container, *args, **more)

    monkeypatch.setattr(ahead, "_INTERVAL", 0.01)
    monkeypatch.setattr(MemoryEngine, "wait", breaking)
    return world


def begun(world: World) -> set[str]:
    """The keys of all objects that were begun and are not complete."""
    return {key for key, _ in world.services.logs._begun}  # type: ignore[attr-defined]


def stored(world: World) -> Task:
    """The task's document."""
    return Task.from_document(world.services.store.find("t") or {})


AWAY = InfrastructureError("service", "away")


@pytest.mark.parametrize("faults", [[], [Fault("remove", 1, When.BEFORE, AWAY)], [Fault("abort_parts", 1, When.BEFORE, AWAY)]])
def test_parts_of_an_attempt_that_another_follows_are_dropped(broken: World, faults: list[Fault]) -> None:
    """With it, or at the end of the task."""
    task = whole(broken, broken.worker(Process(faults)).run("t"))
    assert task.attempt == 2
    assert stored(broken).settled
    assert {key.split("/")[1] for key in stored(broken).parts_begun} == {"1", "2"}


@pytest.mark.parametrize("when", When)
@pytest.mark.parametrize("call", ["advance", "abort_parts"])
def test_parts_of_an_earlier_attempt_of_a_dead_worker_are_dropped(broken: World, call: str, when: When) -> None:
    """It has died as it recorded the retry, or behind that."""
    with pytest.raises(Killed):
        broken.worker(Process([Fault(call, 2 if call == "advance" else 1, when, Killed())])).run("t")
    assert begun(broken)
    broken.expire_leases()
    broken.sweep().once(60)
    task = whole(broken, stored(broken))
    assert task.settled


def test_a_task_is_settled_once_the_parts_of_all_attempts_are_dropped(broken: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sweep finds their keys in the document."""
    with monkeypatch.context() as patch:
        patch.setattr(MemoryObjectStore, "abort_parts", refusing)
        task = broken.worker().run("t")
        assert task
        assert task.attempt == 2
        broken.expire_leases()
        broken.sweep().once(60)
        assert {key.split("/")[1] for key in begun(broken)} == {"1"}
        assert not stored(broken).settled
    broken.sweep().once(60)
    assert whole(broken, stored(broken)).settled


def refusing(_: MemoryObjectStore, key: str) -> None:
    """Storage that drops nothing."""
    raise InfrastructureError(STORAGE, f"{key}: away")


def test_keys_of_other_tasks_are_left_alone(world: World) -> None:
    """A foreign hand wrote them."""
    other = "other/1/stdout-0123456789abcdef.log"
    world.services.logs.begin_parts(other)
    world.worker().run("t")
    world.services.store._change("t", {"parts_begun": [other], "settled": False}, lambda _: True)  # type: ignore[attr-defined]
    world.expire_leases()
    world.sweep().once(60)
    assert stored(world).settled
    assert begun(world) == {other}
