"""A log that could not be stored: it stays in the spool for a while, for an operator to rescue."""

from contextlib import suppress
from pathlib import Path

from attrs import evolve

from orchestrator.cause import Cause
from orchestrator.errors import STORAGE, InfrastructureError
from orchestrator.reconcile.reconciler import Kind
from orchestrator.testing.programs import Program
from tests.support.faults import Fault, Killed, Process, When
from tests.support.world import World

REQUEST = {"image": "busybox", "command": ["program"]}


def stranded(folder: Path, *others: Fault) -> World:
    """A world whose only task has ended without its log, for object storage stayed away."""
    world = World(folder, {("program",): Program(stdout=b"the only copy")})
    world.settings = evolve(world.settings, upload_budget=0.0, spool_grace=60.0)
    world.client.submit(REQUEST, "t")
    world.queue.take()
    process = Process([Fault("put", 1, When.BEFORE, InfrastructureError(STORAGE, "away")), *others])
    with suppress(Killed):
        world.worker(process).run("t")
    world.expire_leases()
    return world


def logs(world: World) -> list[bytes]:
    """What the spool holds of programs' stdout."""
    return [file.read_bytes() for file in world.settings.spool_dir.rglob("stdout")]


def test_a_log_that_could_not_be_stored_is_kept_for_a_while(tmp_path: Path) -> None:
    """Nothing else of the task is; and a sweep after that time discards it."""
    world = stranded(tmp_path)
    task = world.client.get("t")
    assert (task.cause, task.settled, world.engine.containers) == (Cause.UPLOAD, True, frozenset())
    assert world.sweep().once(30) == []
    assert logs(world) == [b"the only copy"]
    world.settings = evolve(world.settings, spool_grace=-1.0)
    assert [action.kind for action in world.sweep().once(30)] == [Kind.DISCARD]
    assert logs(world) == []


def test_it_is_kept_although_the_worker_died_before_it_had_released_the_rest(tmp_path: Path) -> None:
    """The sweep removes the container, and leaves the log."""
    world = stranded(tmp_path, Fault("remove", 1, When.BEFORE, Killed()))
    assert not world.client.get("t").settled
    world.sweep().once(30)
    assert (world.client.get("t").settled, world.engine.containers) == (True, frozenset())
    assert logs(world) == [b"the only copy"]
