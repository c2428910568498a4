"""An engine that goes down takes its programs with it: that breaks the attempt, and is not what became of the program."""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from orchestrator.cause import Cause
from orchestrator.errors import InfrastructureError
from orchestrator.task.document import Task
from orchestrator.testing.programs import FOREVER, Program
from statemachine import State
from tests.support.baton import How, Puppet
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


def lived_through(world: World, code: int) -> Task:
    """The task whose program ends with ``code`` as the engine goes down before the eyes of its worker."""
    task, puppet = world.client.submit(REQUEST), Puppet("worker")
    actor = puppet.act("run", lambda: world.worker(puppet).run(task.id)).until("wait")
    world.engine.restart(code)
    actor.step(How.FAIL)
    again(world)
    actor.until("nothing")
    return world.client.get(task.id)


def died_with_it(world: World, code: int, after: float) -> Task:
    """The task whose worker dies and whose program ends with ``code``, ``after`` seconds, as the engine goes down."""
    task = world.client.submit(REQUEST | {"limits": {"timeout": 5}})
    with pytest.raises(Killed):
        world.worker(Process([Fault("wait", 1, When.BEFORE, Killed())])).run(task.id)
    world.engine.wait(next(iter(world.engine.containers)), after)
    world.engine.restart(code)
    again(world)
    world.expire_leases()
    ended = world.worker().run(task.id)
    assert ended
    return ended


@pytest.mark.parametrize("code", [1, 137, 143, 255])
def test_a_worker_that_lived_through_it_begins_a_new_attempt(tmp_path: Path, code: int) -> None:
    """However the program took its TERM: it may have trapped it and exited as it liked."""
    ended = lived_through(World(tmp_path, {PROGRAM: FOREVER}), code)
    assert (ended.status, causes(ended)) == (State.SUCCEEDED, [Cause.INFRASTRUCTURE])


@pytest.mark.parametrize("code", [137, 143, 255])
def test_who_takes_over_from_a_worker_that_died_with_the_engine_begins_a_new_attempt(tmp_path: Path, code: int) -> None:
    """As after a reboot of the host, which may take longer than the program had time for."""
    ended = died_with_it(World(tmp_path, {PROGRAM: FOREVER}), code, 60)
    assert (ended.status, causes(ended)) == (State.SUCCEEDED, [Cause.INFRASTRUCTURE])


@pytest.mark.parametrize("through", [lived_through, partial(died_with_it, after=1)], ids=["lived", "died"])
def test_a_program_that_exited_0_has_finished(tmp_path: Path, through: Callable[[World, int], Task]) -> None:
    """Whether or not the engine's TERM made it."""
    world = World(tmp_path, {PROGRAM: FOREVER})
    ended = through(world, 0)
    assert (ended.status, ended.attempts, ended.exit_code) == (State.SUCCEEDED, (), 0)
    assert [*world.engine.starts.values()] == [1]


def test_an_exit_that_a_shutdown_does_not_explain_is_the_programs(tmp_path: Path) -> None:
    """Nobody was there to see whether the engine was away by then."""
    world = World(tmp_path, {PROGRAM: FOREVER})
    ended = died_with_it(world, 3, 1)
    assert (ended.cause, ended.attempts, ended.exit_code) == (Cause.EXIT, (), 3)
    assert [*world.engine.starts.values()] == [1]


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
