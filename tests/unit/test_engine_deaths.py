"""An engine that goes down takes its programs with it: that breaks the attempt, and is not what became of the program."""

import time
from pathlib import Path

import pytest

from orchestrator.adapters.memory_programs import FOREVER, Program
from orchestrator.cause import Cause
from orchestrator.errors import InfrastructureError
from orchestrator.task import Task
from statemachine import State
from tests.support.baton import Puppet
from tests.support.faults import Fault, Killed, Process, When
from tests.support.world import World

PROGRAM = ("program",)
REQUEST = {"image": "busybox", "command": ["program"]}
HICCUP = Fault("wait", 1, When.BEFORE, InfrastructureError("docker", "away"))


@pytest.fixture(autouse=True)
def _no_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: None)


def again(world: World) -> None:
    """From now on the program ends at once."""
    world.engine._programs[PROGRAM] = Program(stdout=b"out")


def causes(task: Task) -> list[Cause | None]:
    """Of the attempts before the last."""
    return [attempt.cause for attempt in task.attempts]


@pytest.mark.parametrize("code", [0, 1, 137, 143, 255])
def test_a_worker_that_lived_through_it_begins_a_new_attempt(tmp_path: Path, code: int) -> None:
    """However the program took its TERM: it may have trapped it and exited as it liked."""
    world = World(tmp_path, {PROGRAM: FOREVER})
    task, puppet = world.client.submit(REQUEST), Puppet("worker")
    actor = puppet.act("run", lambda: world.worker(puppet).run(task.id)).until("wait")
    world.engine.restart(code)
    again(world)
    actor.until("nothing")
    ended = world.client.get(task.id)
    assert (ended.status, causes(ended)) == (State.SUCCEEDED, [Cause.INFRASTRUCTURE])


@pytest.mark.parametrize("code", [0, 1, 137, 143, 255])
def test_who_takes_over_from_a_worker_that_died_with_the_engine_begins_a_new_attempt(tmp_path: Path, code: int) -> None:
    """As after a reboot of the host, which may take longer than the program had time for."""
    world = World(tmp_path, {PROGRAM: FOREVER})
    task = world.client.submit(REQUEST | {"limits": {"timeout": 5}})
    with pytest.raises(Killed):
        world.worker(Process([Fault("wait", 1, When.BEFORE, Killed())])).run(task.id)
    world.engine.wait(next(iter(world.engine.containers)), 60)
    world.engine.restart(code)
    again(world)
    world.expire_leases()
    ended = world.worker().run(task.id)
    assert ended
    assert (ended.status, causes(ended)) == (State.SUCCEEDED, [Cause.INFRASTRUCTURE])


def test_a_program_that_was_at_its_memory_limit_failed_by_itself(tmp_path: Path) -> None:
    """The kernel killed it, whatever became of the engine."""
    world = World(tmp_path, {PROGRAM: Program(seconds=FOREVER.seconds, oom_killed=True)})
    task, puppet = world.client.submit(REQUEST), Puppet("worker")
    actor = puppet.act("run", lambda: world.worker(puppet).run(task.id)).until("wait")
    world.engine.restart(137)
    actor.until("nothing")
    ended = world.client.get(task.id)
    assert (ended.cause, ended.attempts) == (Cause.OOM, ())


@pytest.mark.parametrize("code", [134, 137, 139, 143])
def test_an_engine_that_was_away_and_kept_the_program_explains_no_signal(tmp_path: Path, code: int) -> None:
    """It kills itself later, with the engine there."""
    world = World(tmp_path, {PROGRAM: Program(exit_code=code)})
    ended = world.worker(Process([HICCUP])).run(world.client.submit(REQUEST).id)
    assert ended
    assert (ended.cause, ended.exit_code, ended.attempts) == (Cause.SIGNAL, code, ())
