"""A program that was killed and not by the worker: what a second look at its container makes of it."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from attrs import evolve

from orchestrator.cause import Cause
from orchestrator.execution.naming import container_name
from orchestrator.task.document import Task
from orchestrator.testing.programs import Program
from tests.support.world import World

Meanwhile = Callable[[World, Task], None]


@pytest.fixture
def killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Meanwhile], Task]:
    """A program is killed, and something happens between the two looks; the task at its end."""

    def run(meanwhile: Meanwhile) -> Task:
        world = World(tmp_path, {("program",): Program(exit_code=137)})
        task = world.client.submit({"image": "busybox", "command": ["program"]})
        monkeypatch.setattr(time, "sleep", lambda _: meanwhile(world, task))
        ended = world.worker().run(task.id)
        assert ended
        return ended

    return run


def test_a_container_that_is_gone_a_moment_later_was_lost(killed: Callable[..., Task]) -> None:
    """A forced removal kills first."""
    task = killed(lambda world, task: world.engine.remove(container_name(task.id, 1), world.services.deployment))
    assert task.cause is Cause.CONTAINER_LOST


def test_a_container_that_is_still_being_removed_was_lost(killed: Callable[..., Task]) -> None:
    """However long the removal takes: the engine says so before it kills."""

    def begin_removal(world: World, task: Task) -> None:
        container = world.engine._get(container_name(task.id, 1))
        container.state = evolve(container.state, removing=True)

    assert killed(begin_removal).cause is Cause.CONTAINER_LOST


def test_a_container_that_is_still_there_was_killed_by_somebody_else(killed: Callable[..., Task]) -> None:
    """Its program was ended by a signal, and that is all there is to say."""
    task = killed(lambda *_: None)
    assert (task.cause, task.attempts) == (Cause.SIGNAL, ())
