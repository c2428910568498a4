"""The limit on CPU time, on services in memory."""

from math import inf
from pathlib import Path

import pytest

from orchestrator.cause import Cause
from orchestrator.task.document import Task
from orchestrator.testing.programs import Program
from statemachine import State
from tests.support.world import World


def run(folder: Path, program: Program, **limits: object) -> Task:
    """Run a program in a fresh world."""
    world = World(folder, {("program",): program})
    task = world.client.submit({"image": "busybox", "command": ["program"], "limits": {"cpus": 2, **limits}})
    ended = world.worker().run(task.id)
    assert ended is not None
    return ended


@pytest.mark.parametrize("busy", [2.0, 1.0, 0.3])
def test_a_program_that_uses_up_its_cpu_time_is_ended(tmp_path: Path, busy: float) -> None:
    """Within a tenth of a second, however fast it burns; the evidence says which time it was."""
    task = run(tmp_path, Program(seconds=inf, busy=busy), cpu_time=5)
    assert (task.status, task.cause, task.evidence["ended_for"]) == (State.TIMED_OUT, Cause.TIMEOUT, "cpu_time")
    assert task.metrics
    assert task.metrics.cpu_time_s is not None
    assert 5 <= task.metrics.cpu_time_s <= 5 + 0.1 * busy + 0.001
    assert task.metrics.duration_s == pytest.approx(task.metrics.cpu_time_s / busy, abs=0.01)


def test_an_idle_program_ends_at_its_wall_time(tmp_path: Path) -> None:
    """CPU time that is left over is no reason to go on."""
    task = run(tmp_path, Program(seconds=inf, busy=0.01), cpu_time=5, timeout=2)
    assert (task.status, task.evidence["ended_for"]) == (State.TIMED_OUT, "timeout")


def test_a_program_within_both_limits_succeeds(tmp_path: Path) -> None:
    """Nothing is said about time."""
    task = run(tmp_path, Program(seconds=4, busy=1), cpu_time=5, timeout=20)
    assert (task.status, task.cause) == (State.SUCCEEDED, None)
    assert "ended_for" not in task.evidence


def test_who_passed_the_limit_and_then_exited_has_passed_it(tmp_path: Path) -> None:
    """Whether the worker was quick enough to end it makes no difference to the verdict."""
    task = run(tmp_path, Program(seconds=2.5, busy=2.1), cpu_time=5.05)
    assert (task.status, task.exit_code) == (State.TIMED_OUT, 0)
    assert task.evidence["ended_by"] == "program"
    assert "had ended before the worker could end it" in task.message
