"""Who takes over a program that a worker has ended knows so, though its engine has forgotten the signals."""

from pathlib import Path

import pytest

from orchestrator.cause import Cause
from orchestrator.errors import InfrastructureError
from orchestrator.task.document import Task
from orchestrator.task.labels import LIFETIME
from orchestrator.task.values import Ending
from orchestrator.testing.programs import FOREVER, Program
from tests.support.faults import Fault, Killed, Process, When
from tests.support.world import World

PROGRAM = ("program",)
REQUEST = {"image": "busybox", "command": ["program"], "limits": {"timeout": 5, "output": "1k"}}
TOO_LATE = "but the program had ended before the worker could end it"
FLOODS = Program(stdout=bytes(2000), seconds=1e9, floods=True)


def adopted(world: World, fault: Fault) -> Task:
    """A task whose worker has died at the fault, at its end."""
    world.client.submit(REQUEST, "t")
    with pytest.raises(Killed):
        world.worker(Process([fault])).run("t")
    world.expire_leases()
    task = world.worker(name="heir").run("t")
    assert task
    return task


@pytest.mark.parametrize("heeds_term", [True, False])
def test_an_adopter_knows_that_the_program_was_ended(tmp_path: Path, *, heeds_term: bool) -> None:
    """Its worker died as soon as the program was dead."""
    world = World(tmp_path, {PROGRAM: Program(seconds=1e9, heeds_term=heeds_term)})
    task = adopted(world, Fault("stop", 1, When.AFTER, Killed()))
    assert (task.cause, task.evidence["ended_by"]) == (Cause.TIMEOUT, "worker")
    assert task.message == "the program was ended after its time limit of 5 s"
    assert task.container
    assert task.ending == Ending(task.container.id, Cause.TIMEOUT)


def test_a_program_that_nobody_was_about_to_end_has_ended_by_itself(tmp_path: Path) -> None:
    """Its worker died before it was up."""
    world = World(tmp_path, {PROGRAM: Program(seconds=7, exit_code=137)})
    world.client.submit(REQUEST, "t")
    with pytest.raises(Killed):
        world.worker(Process([Fault("wait", 1, When.BEFORE, Killed())])).run("t")
    world.engine.wait("orchestrator-t-1", 10)
    world.expire_leases()
    task = world.worker(name="heir").run("t")
    assert task
    assert (task.cause, task.evidence["ended_by"], task.ending) == (Cause.TIMEOUT, "unknown", None)
    assert task.message.endswith(TOO_LATE)


def test_an_outage_as_the_program_is_ended_hides_nothing(tmp_path: Path) -> None:
    """The engine took the signal, and its answer was lost."""
    world = World(tmp_path, {PROGRAM: FOREVER})
    world.client.submit(REQUEST, "t")
    task = world.worker(Process([Fault("stop", 1, When.AFTER, InfrastructureError("docker", "away"))])).run("t")
    assert task
    assert (task.cause, task.evidence["ended_by"]) == (Cause.TIMEOUT, "worker")
    assert task.message == "the program was ended after its time limit of 5 s"


def test_a_time_limit_holds_while_that_cannot_be_noted(tmp_path: Path) -> None:
    """A store that is away is not waited for."""
    world = World(tmp_path, {PROGRAM: FOREVER})
    world.client.submit(REQUEST, "t")
    task = world.worker(Process([Fault("note_ending", 1, When.BEFORE, InfrastructureError("mongodb", "away"))])).run("t")
    assert task
    assert (task.cause, task.evidence["ended_by"], task.ending) == (Cause.TIMEOUT, "worker", None)


def test_a_program_that_outlived_its_container_s_label_was_ended_by_a_sweep(tmp_path: Path) -> None:
    """Any worker ends it then, without the database."""
    world = World(tmp_path, {PROGRAM: FOREVER})
    world.client.submit(REQUEST, "t")
    with pytest.raises(Killed):
        world.worker(Process([Fault("wait", 1, When.BEFORE, Killed())])).run("t")
    name = "orchestrator-t-1"
    world.engine.wait(name, float(world.engine.inspect(name).labels[LIFETIME]) + 1)
    world.engine.stop(name, 0)
    world.expire_leases()
    task = world.worker(name="heir").run("t")
    assert task
    assert (task.cause, task.evidence["ended_by"]) == (Cause.TIMEOUT, "worker")


def test_what_is_noted_before_the_start_is_recorded_is_kept(tmp_path: Path) -> None:
    """A flood may be ended before the record of the start is written, which wipes what a foreign hand wrote."""
    world = World(tmp_path, {PROGRAM: FLOODS})
    task = adopted(world, Fault("advance", 2, When.BEFORE, Killed()))
    assert task.cause is Cause.OUTPUT_LIMIT
    assert task.container
    assert (task.ending, task.evidence["ended_by"]) == (Ending(task.container.id, Cause.OUTPUT_LIMIT), "worker")
    assert task.message == "the program was ended because a stream passed its limit of 1 KiB"
