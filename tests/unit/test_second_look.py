"""A program that was killed and not by the worker: what a second look at its container makes of it."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.adapters.memory_engine import Program
from orchestrator.cause import Cause
from orchestrator.errors import InfrastructureError
from orchestrator.run import container_name
from orchestrator.task import Task
from tests.support.faults import Fault, Process, When
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


@pytest.mark.parametrize("code", [137, 143])
def test_an_engine_that_is_gone_a_moment_later_has_killed_it(killed: Callable[..., Task], code: int) -> None:
    """An engine that stops kills what runs: that breaks the attempt, and is not the program's failure."""
    away: list[Fault] = []

    def stop(_world: World, process: Process, _task: Task) -> None:
        if not away:
            away.append(Fault("inspect", process.calls["inspect"] + 1, When.BEFORE, InfrastructureError("docker", "away")))
            process.faults += away

    assert [attempt.cause for attempt in killed(stop, code).attempts] == [Cause.INFRASTRUCTURE]


def test_a_container_that_is_still_there_was_killed_by_somebody_else(killed: Callable[..., Task]) -> None:
    """Its program was ended by a signal, and that is all there is to say."""
    task = killed(lambda *_: None)
    assert (task.cause, task.attempts) == (Cause.SIGNAL, ())
