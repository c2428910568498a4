"""Deletion: whatever fails or dies on the way, nothing is left that nobody finds, and no other task loses anything."""

from collections.abc import Callable
from pathlib import Path

import pytest
from attrs import evolve

from orchestrator.cause import Cause
from orchestrator.client import Client
from orchestrator.errors import STORAGE, InfrastructureError, NotEnded, UnknownTask, WrongDatabase
from orchestrator.outcome.series import Recording, Series
from orchestrator.ports import Part
from orchestrator.reconcile.reconciler import Kind
from orchestrator.settings.settings import Settings
from orchestrator.testing.programs import FOREVER, Program
from statemachine import State
from tests.support.baton import Puppet
from tests.support.faults import Fault, Killed, Process, When
from tests.support.tars import out
from tests.support.world import World

PROGRAM, FAILING, LONG = ("program",), ("failing",), ("long",)
REQUEST = {"image": "busybox", "command": [*PROGRAM], "artifacts": ["."]}
KEPT = Settings(retry_budget=5.0, orphan_grace=-1.0, spool_grace=-1.0, keep_tasks=0, keep_logs=0, keep_artifacts=0)
ALL_NAMED = lambda world: world  # noqa: E731
FATES = [Killed(), InfrastructureError("a server", "away")]


def world_of(folder: Path, settings: Settings = KEPT) -> World:
    """An installation with programs of each kind."""
    left = out(a=b"first", b=b"second")
    programs = {
        PROGRAM: Program(stdout=b"out", out=left),
        FAILING: Program(stdout=b"out", out=left, exit_code=3),
        LONG: FOREVER,
    }
    return World(folder, programs, settings=settings)


def ended(folder: Path, settings: Settings = KEPT) -> World:
    """With two ended tasks; t failed twice and has objects of both attempts."""
    world = world_of(folder, settings)
    for task_id, command in {"t": FAILING, "t1": PROGRAM}.items():
        world.client.submit({**REQUEST, "command": [*command], "retries": 1 if command is FAILING else 0}, task_id)
        world.worker().run(task_id)
        world.queue.take()
    while (task_id := world.queue.take()) is not None:
        world.worker().run(task_id)
    return world


def unnamed(world: World) -> World:
    """The documents are those of a worker that did not know all objects."""
    for task_id in ("t", "t1"):
        world.services.store._change(task_id, {"objects_named": 0}, lambda _: True)
    return world


def keys(world: World) -> list[str]:
    """What is in object storage."""
    return [found.key for found in world.services.logs.listed()]


def owners(world: World) -> set[str]:
    """Of whom there is something in object storage."""
    return {key.partition("/")[0] for key in keys(world)}


def test_an_ended_task_is_deleted_on_both_sides(tmp_path: Path) -> None:
    """With the objects of all attempts; a task whose id begins alike keeps its own. A second call finds nothing."""
    world = ended(tmp_path)
    assert {key.rpartition("/")[0] for key in keys(world) if key.startswith("t/")} == {
        "t/1",
        "t/2",
        "t/1/artifacts",
        "t/2/artifacts",
    }
    world.client.delete("t")
    assert owners(world) == {"t1"}
    with pytest.raises(UnknownTask, match="there is no task 't'"):
        world.client.get("t")
    with pytest.raises(UnknownTask):
        world.client.delete("t")
    assert b"".join(world.client.logs("t1", "stdout")) == b"out"
    assert world.sweep().once(30) == []


def test_a_task_that_has_not_ended_is_refused(tmp_path: Path) -> None:
    """In a sentence; and so is one that is unknown."""
    world = world_of(tmp_path)
    world.client.submit(REQUEST, "t")
    with pytest.raises(NotEnded, match="task 't' has not ended, it is 'queued'; cancel it first, or wait for its end"):
        world.client.delete("t")
    world.client.submit({**REQUEST, "command": [*LONG]}, "long")
    puppet = Puppet("worker")
    puppet.act("run", lambda: world.worker(puppet).run("long")).until("wait")
    with pytest.raises(NotEnded, match="it is 'running'"):
        world.client.delete("long")
    puppet.die()
    with pytest.raises(UnknownTask):
        world.client.delete("nobody")


def test_a_task_whose_worker_still_has_something_is_refused(tmp_path: Path) -> None:
    """Until the sweep has settled it."""
    world = world_of(tmp_path)
    world.client.submit(REQUEST, "t")
    with pytest.raises(Killed):
        world.worker(Process([Fault("settle", 1, When.BEFORE, Killed())])).run("t")
    world.queue.take()
    with pytest.raises(NotEnded, match="its worker has not released all that it had"):
        world.client.delete("t")
    world.expire_leases()
    world.sweep().once(30)
    world.client.delete("t")
    assert keys(world) == []


def test_objects_are_listed_only_where_the_document_does_not_name_all(tmp_path: Path) -> None:
    """A list for each task takes most of the time of a deletion. What was removed before its task is not removed again."""
    for place, (known, lists) in enumerate([(ALL_NAMED, 0), (unnamed, 1)]):
        world, process = known(ended(tmp_path / str(place))), Process()
        delete(world, process)
        assert (process.calls["listed"], owners(world)) == (lists, {"t1"})
    world, process = ended(tmp_path / "stripped"), Process()
    nonces = {"t": world.client.get("t").nonce}
    removal = world.process(process).removal
    assert removal.strip(nonces, Part.LOGS)
    assert {key.rpartition("/")[0] for key in keys(world) if key.startswith("t/")} == {"t/1/artifacts", "t/2/artifacts"}
    assert removal.strip(nonces, Part.ARTIFACTS)
    delete(world, process)
    assert (process.calls["listed"], process.calls["remove"], owners(world)) == (0, 2, {"t1"})


@pytest.mark.parametrize("key", ["t1/1/stdout-0123456789abcdef.log", "elsewhere", 7])
def test_a_document_names_no_object_of_another_task(tmp_path: Path, key: object) -> None:
    """A foreign hand may have written it. Then the objects of the task are listed."""
    world = ended(tmp_path)
    before = {found for found in keys(world) if found.startswith("t1/")}
    foreign = {"bucket": "task-logs", "stdout": {"key": key}, "stderr": "?"}
    world.services.store._change("t", {"logs": foreign, "artifacts_stored": 5}, lambda _: True)
    world.services.store._change("t", {"objects_named": 2 if isinstance(key, str) else 0}, lambda _: True)
    world.client.delete("t")
    assert {*keys(world)} == before


@pytest.mark.parametrize("when", When)
@pytest.mark.parametrize("fate", [*FATES, RuntimeError("a bug")], ids=["killed", "away", "bug"])
def test_no_object_outlives_its_task_however_its_run_went(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: When, fate: BaseException
) -> None:
    """Each call of a run breaks once; then another worker ends the task, perhaps with an output that differs."""
    outputs = iter(range(1000000))
    monkeypatch.setattr(Recording, "series", lambda _: Series(1, 1.0, ("t",), ((float(next(outputs)),),)))
    process = Process()
    assert run(world_of(tmp_path / "whole"), process) == 2
    calls = [(name, number) for name, count in process.calls.items() for number in range(1, count + 1)]
    assert ("put", 6) in calls
    trusted = []
    for place, (method, nth) in enumerate(calls):
        world = world_of(tmp_path / str(place))
        trusted.append(run(world, Process([Fault(method, nth, when, fate)])) > 0)
        world.client.delete("t")
        assert keys(world) == [], (method, nth)
    assert any(trusted)


def run(world: World, process: Process) -> int:
    """Run a task with two attempts, the first worker as ``process`` says, the others without a fault; its ``objects_named``."""
    world.client.submit({**REQUEST, "command": [*FAILING], "retries": 1}, "t")
    for _ in range(4):
        try:
            world.worker(process).run("t")
        except (Killed, InfrastructureError, RuntimeError):
            process = Process()
        world.expire_leases()
        world.sweep().once(30)
    task = world.client.get("t")
    assert task.status is State.FAILED
    return task.objects_named


def calls_of(world: World, act: Callable[[World, Process], object]) -> list[tuple[str, int]]:
    """The calls that are made of it, by their method and number."""
    process = Process()
    act(world, process)
    return [(name, number) for name, count in process.calls.items() for number in range(1, count + 1)]


def delete(world: World, process: Process) -> None:
    """Delete t."""
    Client(world.process(process)).delete("t")


@pytest.mark.parametrize("when", When)
@pytest.mark.parametrize("fate", FATES, ids=["killed", "away"])
@pytest.mark.parametrize("known", [ALL_NAMED, unnamed], ids=["named", "unnamed"])
def test_a_deletion_that_breaks_anywhere_is_finished_by_the_next_sweep(
    tmp_path: Path, known: Callable[[World], World], when: When, fate: BaseException
) -> None:
    """Or it had not begun, and the task is whole. It is never half there without anybody who goes on."""
    calls = calls_of(known(ended(tmp_path / "whole")), delete)
    assert {"mark_deleting", "naming", "remove", "delete"} <= {name for name, _ in calls}
    assert ("listed" in dict(calls)) is (known is unnamed)
    for place, (method, nth) in enumerate(calls):
        world = known(ended(tmp_path / str(place)))
        before = keys(world)
        process = Process([Fault(method, nth, when, fate)])
        with pytest.raises(type(fate)):
            delete(world, process)
        begun = world.services.store.find("t") is None or world.services.store.find("t").get("deleting")
        if begun:
            with pytest.raises(UnknownTask):
                world.client.get("t")
            world.process().retention.once(30)
            assert owners(world) == {"t1"}, (method, nth)
            assert [task.id for task in world.client.list()] == ["t1"]
            assert world.services.store.find("t") is None
        else:
            assert keys(world) == before
            assert world.client.get("t").status is State.FAILED
        assert world.process().retention.once(30) == []


@pytest.mark.parametrize("when", When)
@pytest.mark.parametrize("fate", FATES, ids=["killed", "away"])
@pytest.mark.parametrize("known", [ALL_NAMED, unnamed], ids=["named", "unnamed"])
def test_a_deletion_can_be_called_again(
    tmp_path: Path, known: Callable[[World], World], when: When, fate: BaseException
) -> None:
    """It goes on where it broke; only a caller that had no answer to the last call may hear that there is no such task."""
    for place, (method, nth) in enumerate(calls_of(known(ended(tmp_path / "whole")), delete)):
        world = known(ended(tmp_path / str(place)))
        with pytest.raises(type(fate)):
            delete(world, Process([Fault(method, nth, when, fate)]))
        if world.services.store.find("t") is not None:
            world.client.delete("t")
        assert (owners(world), world.services.store.find("t")) == ({"t1"}, None)


def test_somebody_who_was_held_up_removes_nothing_of_the_next_task_with_the_id(tmp_path: Path) -> None:
    """Two delete the task; one waits before it removes, while the other ends and the id is used again."""
    world = ended(tmp_path)
    before = keys(world)
    puppet = Puppet("slow")
    actor = puppet.act("delete", lambda: Client(world.process(puppet)).delete("t")).until("naming")
    actor.until("standing")
    world.client.delete("t")
    world.client.submit({**REQUEST, "command": [*FAILING]}, "t")
    world.worker().run("t")
    again = keys(world)
    assert {*again} < {*before}
    actor.until("nothing")
    assert keys(world) == again
    assert b"".join(world.client.logs("t", "stdout")) == b"out"


def test_an_id_that_is_none_names_nothing_of_another_task(tmp_path: Path) -> None:
    """The objects of t's first attempt are below t/1, which somebody may insert as an id."""
    world = ended(tmp_path)
    before = keys(world)
    world.services.store.insert({"_id": "t/1", "image": "busybox", "status": "queued"})
    world.worker().run("t/1")
    assert world.client.get("t/1").cause is Cause.INVALID
    world.client.delete("t/1")
    assert keys(world) == before
    assert world.services.store.find("t/1") is None


def test_a_document_that_cannot_be_read_can_be_deleted(tmp_path: Path) -> None:
    """Somebody has to get rid of it."""
    world = ended(tmp_path)
    world.services.store.insert({"_id": "junk", "status": "failed", "seq": "many", "history": 5})
    world.client.delete("junk")
    assert world.services.store.find("junk") is None


def test_a_copy_of_the_database_deletes_nothing(tmp_path: Path) -> None:
    """The objects may be those of the original's tasks."""
    world = ended(tmp_path)
    before = keys(world)
    world.services.deployment  # noqa: B018  it is noted now
    world.services.store.database = "a copy"
    with pytest.raises(WrongDatabase, match="the database is a copy"):
        world.client.delete("t")
    assert keys(world) == before
    assert world.client.get("t").deleting is None


def test_the_log_in_the_spool_goes_with_its_task(tmp_path: Path) -> None:
    """One that could not be stored is kept for its rescue only as long as somebody may ask for the task."""
    world = world_of(tmp_path, evolve(KEPT, upload_budget=0.0, spool_grace=3600.0))
    world.client.submit(REQUEST, "t")
    world.worker(Process([Fault("put", 1, When.BEFORE, InfrastructureError(STORAGE, "away"))])).run("t")
    world.queue.take()
    assert world.client.get("t").is_stranded
    assert world.sweep().plan() == []
    world.client.delete("t")
    assert [action.kind for action in world.sweep().once(30)] == [Kind.DISCARD]
    assert not [path for path in tmp_path.rglob("stdout") if path.is_file()]


def test_a_document_that_was_given_up_does_not_claim_to_name_all_objects(tmp_path: Path) -> None:
    """Its earlier attempt has stored its log; deletion finds that by a list."""
    world = world_of(tmp_path)
    world.client.submit({**REQUEST, "command": [*FAILING], "retries": 1}, "t")
    with pytest.raises(Killed):
        world.worker(Process([Fault("wait", 2, When.BEFORE, Killed())])).run("t")
    assert world.client.get("t").attempt == 2
    assert keys(world)
    world.services.store._change("t", {"history": 5}, lambda _: True)
    world.expire_leases()
    world.worker().run("t")
    task = world.client.get("t")
    assert (task.cause, task.objects_named) == (Cause.INVALID, 0)
    world.client.delete("t")
    assert keys(world) == []
