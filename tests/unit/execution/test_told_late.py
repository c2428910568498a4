"""Programs that end within their limits on an engine that tells of it late, on services in memory."""

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from attrs import evolve

from orchestrator.cause import Cause
from orchestrator.output import capture
from orchestrator.ports import ContainerState, Phase, Sample
from orchestrator.task.document import Task
from orchestrator.testing.engine import MemoryEngine
from orchestrator.testing.programs import Program
from statemachine import State
from tests.support.world import World

LAG = timedelta(seconds=0.4)
PATIENCE = 10.0


class Laggard(MemoryEngine):
    """Says that a program runs until LAG after its end; what the kernel counts of it stands still by then."""

    def wait(self, container: str, timeout: float, give_up: Callable[[], bool] = lambda: False) -> ContainerState:
        """See ports.Engine."""
        before = self._now
        state = super().wait(container, timeout, give_up)
        if state.phase is not Phase.EXITED or state.finished_at is None:
            return state
        left = timedelta(seconds=timeout) - (self._now - before)
        behind = state.finished_at + LAG - self._now
        self._now += max(min(left, behind), timedelta())
        told = behind <= left
        return self.inspect(container) if told else evolve(state, phase=Phase.RUNNING, finished_at=None, now=self._now)


class Enforced(Laggard):
    """Tells of the end only when the thread beside the task's own has tried to end the program, which then has ended."""

    tried = threading.Event()

    def stats(self, container: str) -> Iterator[Sample]:
        """See ports.Engine."""
        self._get(container).exited.wait(PATIENCE)
        yield Sample(0.0, 0)

    def wait(self, container: str, timeout: float, give_up: Callable[[], bool] = lambda: False) -> ContainerState:
        """See ports.Engine."""
        state = MemoryEngine.wait(self, container, timeout, give_up)
        self.tried.wait(PATIENCE)
        return state

    def stop(self, container: str, grace: float) -> bool:
        """See ports.Engine."""
        sent = super().stop(container, grace)
        self.tried.set()
        return sent


class Sleeper(MemoryEngine):
    """Its host sleeps for two hours while the program runs; no monotonic clock of the host moves then."""

    def wait(self, container: str, timeout: float, give_up: Callable[[], bool] = lambda: False) -> ContainerState:
        """See ports.Engine."""
        before = self._get(container).state
        state = super().wait(container, timeout, give_up)
        if before.phase is Phase.RUNNING and state.phase is Phase.EXITED and state.finished_at:
            found = self._get(container)
            found.state = evolve(found.state, finished_at=state.finished_at + timedelta(hours=2))
            self._now += timedelta(hours=2)
        return self.inspect(container)


def run(folder: Path, program: Program, engine: Callable[..., MemoryEngine], **limits: float) -> Task:
    """Run a program on such an engine."""
    world = World(folder, {("program",): program}, engine=engine)
    task = world.client.submit({"image": "busybox", "command": ["program"], "limits": limits})
    ended = world.worker().run(task.id)
    assert ended is not None
    return ended


@pytest.mark.parametrize("code", [0, 3])
@pytest.mark.parametrize(("seconds", "late"), [(0.8, False), (1.1, True)])
def test_the_time_limit_is_held_against_the_engines_times(tmp_path: Path, seconds: float, code: int, *, late: bool) -> None:
    """A program of 0.8 s with a limit of 1 s is seen to run at 1 s, and has ended by itself all the same."""
    task = run(tmp_path, Program(seconds=seconds, exit_code=code), Laggard, timeout=1)
    assert (task.status is State.TIMED_OUT) is late
    if not late:
        assert (task.exit_code, task.cause) == (code, Cause.EXIT if code else None)
        assert "ended_for" not in task.evidence


@pytest.mark.parametrize("code", [0, 3])
def test_a_host_that_sleeps_makes_no_program_late(tmp_path: Path, code: int) -> None:
    """It ended by itself before its worker's deadline."""
    task = run(tmp_path, Program(seconds=0.8, exit_code=code), Sleeper, timeout=60)
    assert (task.exit_code, task.cause) == (code, Cause.EXIT if code else None)
    assert task.status is (State.FAILED if code else State.SUCCEEDED)


def test_a_program_that_another_worker_has_ended_as_overdue_is_late(tmp_path: Path) -> None:
    """That worker had only the engine's clock."""
    task = run(tmp_path, Program(seconds=0.8, exit_code=137), Sleeper, timeout=60)
    assert task.status is State.TIMED_OUT


@pytest.mark.parametrize(("busy", "late"), [(1.0, False), (2.0, True)])
def test_the_limit_on_cpu_time_is_held_against_what_the_kernel_counted(tmp_path: Path, busy: float, *, late: bool) -> None:
    """A program that used 0.8 s of CPU uses no more while its engine says that it runs."""
    task = run(tmp_path, Program(seconds=0.8, busy=busy), Laggard, timeout=30, cpu_time=1)
    assert (task.status is State.TIMED_OUT) is late
    assert (task.evidence.get("ended_for") == "cpu_time") is late


def test_the_thread_that_enforces_beside_cannot_time_out_what_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes every program for overdue here, and is the first to claim its end."""
    monkeypatch.setattr(capture, "_OVERDUE", float("-inf"))
    Enforced.tried.clear()
    task = run(tmp_path, Program(seconds=0.8, exit_code=3), Enforced, timeout=1)
    assert Enforced.tried.is_set()
    assert (task.status, task.cause, task.exit_code) == (State.FAILED, Cause.EXIT, 3)
    assert "ended_for" not in task.evidence
