"""A task's input of more than 64 KiB: who adopts its program knows whether that has all of it."""

from pathlib import Path

import pytest
from attrs import evolve

from orchestrator.cause import Cause
from orchestrator.errors import InfrastructureError
from orchestrator.execution import leases
from orchestrator.ports import Phase, Stream
from orchestrator.task.document import Task
from orchestrator.testing.programs import FOREVER, Program
from statemachine import State
from tests.support.baton import Puppet
from tests.support.faults import Fault, Killed, Process, When
from tests.support.world import World

PROGRAM = ("program",)
LONG_INPUT = {"base64": "AAAA" * (1 << 15)}
REQUEST = {"image": "busybox", "command": ["program"], "stdin": LONG_INPUT}
READS = Program(stdout=b"out", seconds=5.0)
NEVER_READS = evolve(READS, reads=False)


def killed(world: World, *faults: Fault) -> None:
    """Submit a task; its worker dies."""
    world.client.submit(REQUEST, "t")
    with pytest.raises(Killed):
        world.worker(Process([*faults])).run("t")
    world.expire_leases()


def adopted(world: World) -> Task:
    """The task at its end, by another worker."""
    task = world.worker(name="heir").run("t")
    assert task
    return task


@pytest.mark.parametrize("call", ["wait", "start"])
def test_a_program_that_has_all_of_its_input_is_adopted(tmp_path: Path, call: str) -> None:
    """Also if its worker died before it could store that it was started."""
    world = World(tmp_path, {PROGRAM: READS})
    killed(world, Fault(call, 1, When.BEFORE if call == "wait" else When.AFTER, Killed()))
    task = adopted(world)
    assert (task.status, task.attempt, world.output(task, Stream.STDOUT)) == (State.SUCCEEDED, 1, b"out")
    assert (task.evidence.get("input"), task.message) == (None, "the program exited with status 0")
    assert [*world.engine.starts.values()] == [1]
    assert (task.worker, task.finished_by) == ("heir" if call == "start" else "worker", "heir")


@pytest.mark.parametrize("call", ["start", "start_id"])
def test_trouble_with_the_engine_at_the_start_breaks_no_input_that_this_worker_still_writes(tmp_path: Path, call: str) -> None:
    """The start is tried again and finds the program running; its writer lives."""
    world = World(tmp_path, {PROGRAM: NEVER_READS})
    world.client.submit(REQUEST, "t")
    trouble = InfrastructureError("docker", "the reply was lost")
    task = world.worker(Process([Fault(call, 1, When.AFTER, trouble)])).run("t")
    assert task
    assert (task.status, task.attempt, [*world.engine.starts.values()]) == (State.SUCCEEDED, 1, [1])


def test_a_program_that_runs_and_may_not_get_all_is_begun_again(tmp_path: Path) -> None:
    """Its worker died while it wrote, so nobody can tell."""
    world = World(tmp_path, {PROGRAM: NEVER_READS})
    killed(world, Fault("wait", 1, When.BEFORE, Killed()))
    task = adopted(world)
    assert (task.status, task.attempt) == (State.SUCCEEDED, 2)
    (lost,) = task.attempts
    assert (lost.cause, lost.handed_over) == (Cause.INFRASTRUCTURE, False)


def test_a_program_that_has_exited_is_judged_whatever_it_got(tmp_path: Path) -> None:
    """It never runs again, and the outcome says what nobody knows."""
    world = World(tmp_path, {PROGRAM: NEVER_READS})
    killed(world, Fault("wait", 1, When.AFTER, Killed()))
    task = adopted(world)
    assert (task.status, task.attempt, task.evidence["input"]) == (State.SUCCEEDED, 1, "unknown")
    assert task.message == (
        "the program exited with status 0; its worker left before, and nobody knows whether it got all of its input"
    )
    assert [*world.engine.starts.values()] == [1]
    assert world.output(task, Stream.STDOUT) == b"out"


def test_input_that_fits_into_a_pipe_is_with_the_program_at_once(tmp_path: Path) -> None:
    """Nothing is stored of it."""
    world = World(tmp_path, {PROGRAM: NEVER_READS})
    world.client.submit(REQUEST | {"stdin": "x" * (64 << 10)}, "t")
    with pytest.raises(Killed):
        world.worker(Process([Fault("wait", 1, When.BEFORE, Killed())])).run("t")
    world.expire_leases()
    task = adopted(world)
    assert (task.status, task.attempt, task.input) == (State.SUCCEEDED, 1, None)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hand-over waits for no input."""
    monkeypatch.setattr(leases, "_INPUT", 0.0)


def handed_over(world: World) -> None:
    """A worker takes the task and is told to leave while its program runs."""
    puppet = Puppet("leaving")
    runner = world.worker(puppet)
    puppet.act("run", lambda: runner.run("t")).until("wait")
    runner.leases.hand_over()
    puppet.die()


@pytest.mark.usefixtures("hasty")
def test_a_hand_over_that_cuts_off_input_ends_the_program_and_counts_as_no_attempt(tmp_path: Path) -> None:
    """However often workers are replaced, the task goes on, and no program takes a part of its input for all."""
    world = World(tmp_path, {PROGRAM: evolve(FOREVER, reads=False)})
    world.client.submit(REQUEST, "t")
    times = world.settings.max_attempts + 2
    for attempt in range(1, times + 1):
        handed_over(world)
        task = world.client.get("t")
        assert (task.status, task.attempt, task.is_cut_off, task.holder) == (State.RUNNING, attempt, True, None)
        assert world.engine.inspect(f"orchestrator-t-{attempt}").exit_code == 137
    world.engine._programs[PROGRAM] = READS
    task = adopted(world)
    assert (task.status, task.attempt) == (State.SUCCEEDED, times + 1)
    assert [(each.cause, each.handed_over) for each in task.attempts] == [(Cause.INFRASTRUCTURE, True)] * times
    assert task.attempts[0].message == "the worker that was writing the program's stdin had to leave"


@pytest.mark.usefixtures("hasty")
def test_a_program_that_exited_before_it_could_be_ended_is_judged(tmp_path: Path) -> None:
    """Though its input was to be cut off: it had finished."""
    world = World(tmp_path, {PROGRAM: NEVER_READS})
    world.client.submit(REQUEST, "t")
    world.engine.stop = lambda container, _: bool(world.engine.wait(container, 60))
    handed_over(world)
    assert world.client.get("t").is_cut_off
    task = adopted(world)
    assert (task.status, task.attempt, task.exit_code, task.evidence["input"]) == (State.SUCCEEDED, 1, 0, "unknown")


def test_a_hand_over_waits_for_input_that_is_being_written(tmp_path: Path) -> None:
    """And then leaves the program as it is."""
    world = World(tmp_path, {PROGRAM: READS})
    world.client.submit(REQUEST, "t")
    handed_over(world)
    task = world.client.get("t")
    assert (task.input is not None and task.input.whole, task.holder) == (True, None)
    assert (adopted(world).attempt, [*world.engine.starts.values()]) == (1, [1])


@pytest.mark.usefixtures("hasty")
def test_a_cut_that_cannot_be_stored_ends_no_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next holder takes its worker for one that died; that costs an attempt, and no outcome is wrong."""
    world = World(tmp_path, {PROGRAM: evolve(FOREVER, reads=False)})
    world.client.submit(REQUEST, "t")

    def away(*_: object, **__: object) -> None:
        raise InfrastructureError("mongodb", "away")

    monkeypatch.setattr(world.services.store, "note_input", away)
    monkeypatch.setattr(world.services.store, "let_go", away)
    handed_over(world)
    task = world.client.get("t")
    assert (task.input, task.holder is None) == (None, False)
    assert world.engine.inspect("orchestrator-t-1").phase is Phase.RUNNING


def test_what_a_foreign_hand_wrote_of_the_input_is_not_believed(tmp_path: Path) -> None:
    """It is wiped out with the first transition, and names no container that there is."""
    world = World(tmp_path, {PROGRAM: READS})
    for number, forged in enumerate(({"container": "c1", "whole": False}, "junk", 5)):
        world.services.store.insert({"_id": f"t{number}", "status": "queued", **REQUEST, "input": forged})
        task = world.worker().run(f"t{number}")
        assert task
        assert (task.status, task.attempt) == (State.SUCCEEDED, 1)
        assert task.input is not None
        assert task.input.whole
