"""A program that was killed and not by the worker: what a second look at its container makes of it."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from attrs import evolve

from orchestrator.adapters.memory_engine import Program
from orchestrator.cause import Cause
from orchestrator.errors import InfrastructureError
from orchestrator.run import container_name
from orchestrator.spool import Spool
from orchestrator.task import Task
from tests.support.faults import Fault, Killed, Process, When
from tests.support.world import World

Meanwhile = Callable[[World, Process, Task], None]


@pytest.fixture
def killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Meanwhile, int], Task]:
    """A program is killed, and something happens between the two looks; the task at its end."""

    def run(meanwhile: Meanwhile, code: int = 137) -> Task:
        world, process = World(tmp_path, {("program",): Program(exit_code=code)}), Process()
        task = world.client.submit({"image": "busybox", "command": ["program"]})
        monkeypatch.setattr(time, "sleep", lambda _: meanwhile(world, process, task))
        ended = world.worker(process).run(task.id)
        assert ended
        return ended

    return run


def test_a_container_that_is_gone_a_moment_later_was_lost(killed: Callable[..., Task]) -> None:
    """A forced removal kills first."""
    task = killed(lambda world, _, task: world.engine.remove(container_name(task.id, 1), world.services.deployment))
    assert task.cause is Cause.CONTAINER_LOST


def test_a_container_that_is_still_being_removed_was_lost(killed: Callable[..., Task]) -> None:
    """However long the removal takes: the engine says so before it kills."""

    def begin_removal(world: World, _: Process, task: Task) -> None:
        container = world.engine._get(container_name(task.id, 1))
        container.state = evolve(container.state, removing=True)

    assert killed(begin_removal).cause is Cause.CONTAINER_LOST


@pytest.mark.parametrize("code", [137, 143])
def test_an_engine_that_is_gone_a_moment_later_has_killed_it(killed: Callable[..., Task], code: int) -> None:
    """An engine that stops kills what runs: that breaks the attempt, and is not the program's failure."""
    away: list[Fault] = []

    def stop(_world: World, process: Process, _task: Task) -> None:
        if not away:
            away.append(Fault("inspect", process.calls["inspect"] + 1, When.BEFORE, InfrastructureError("docker", "away")))
            process.faults += away

    assert [attempt.cause for attempt in killed(stop, code).attempts] == [Cause.INFRASTRUCTURE]


@pytest.mark.parametrize(
    ("code", "broken"), [(134, []), (139, []), (137, [Cause.INFRASTRUCTURE]), (143, [Cause.INFRASTRUCTURE])]
)
def test_an_engine_that_was_away_explains_a_kill_and_no_other_signal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, broken: list[Cause]
) -> None:
    """Nobody who stops an engine makes a program crash: that is the program's own, and is not tried again."""
    monkeypatch.setattr(time, "sleep", lambda _: None)
    world = World(tmp_path, {("program",): Program(exit_code=code)})
    task = world.client.submit({"image": "busybox", "command": ["program"]})
    hiccup = Fault("wait", 1, When.BEFORE, InfrastructureError("docker", "away"))
    ended = world.worker(Process([hiccup])).run(task.id)
    assert ended
    assert (ended.cause, ended.exit_code) == (Cause.SIGNAL, code)
    assert [attempt.cause for attempt in ended.attempts] == broken


def test_a_full_disk_explains_no_kill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine was there all the while."""
    monkeypatch.setattr(time, "sleep", lambda _: None)
    world = World(tmp_path, {("program",): Program(exit_code=137)})
    task = world.client.submit({"image": "busybox", "command": ["program"]})
    with pytest.raises(Killed):
        world.worker(Process([Fault("wait", 1, When.BEFORE, Killed())])).run(task.id)
    world.expire_leases()
    opened, full = Spool.open, [OSError(28, "No space left on device")]

    def open_later(spool: Spool) -> None:
        if full:
            raise full.pop()
        opened(spool)

    monkeypatch.setattr(Spool, "open", open_later)
    ended = world.worker().run(task.id)
    assert ended
    assert (ended.cause, ended.attempts, full) == (Cause.SIGNAL, (), [])


def test_a_container_that_is_still_there_was_killed_by_somebody_else(killed: Callable[..., Task]) -> None:
    """Its program was ended by a signal, and that is all there is to say."""
    task = killed(lambda *_: None)
    assert (task.cause, task.attempts) == (Cause.SIGNAL, ())
