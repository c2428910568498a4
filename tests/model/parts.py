"""What a site is made of, and what is noted of it."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from unittest.mock import patch

from attrs import define, evolve, field, frozen

from orchestrator.app import Services
from orchestrator.cause import Cause
from orchestrator.execution.leases import Leases
from orchestrator.execution.steps.announce import Announce
from orchestrator.execution.steps.release import Release
from orchestrator.ports import Move
from orchestrator.reconcile.reconciler import Sweep
from orchestrator.task.document import Task
from orchestrator.testing.engine import MemoryEngine
from orchestrator.testing.programs import FOREVER, Program
from orchestrator.testing.task_store import MemoryTaskStore
from statemachine import State
from tests.support.baton import ActingThread, How, Puppet
from tests.support.world import Clock

HOSTS = ("a", "b")
SLOTS = ("a", "a", "b")
"""On which host each of the workers is."""
_NEVER = 1e6
_TIMED = ("attempt", "program", "steps.start", "steps.wait")
PROGRAMS = {
    ("good",): Program(stdout=b"out", stderr=b"err", seconds=1),
    ("bad",): Program(stdout=b"out", exit_code=3),
    ("endless",): evolve(FOREVER, stdout=b"so far"),
}
OWN_END = {
    ("good",): (State.SUCCEEDED, None),
    ("bad",): (State.FAILED, Cause.EXIT),
    ("endless",): (State.TIMED_OUT, Cause.TIMEOUT),
}


class PacedLeases(Leases):
    """Leases whose heartbeat beats when the test says so."""

    def _turning(self) -> list[threading.Thread]:
        """Leave it to the test."""
        return []

    def beat(self) -> None:
        """Whatever the time."""
        for held in self._all().values():
            held.until = -_NEVER
        super().beat()


@frozen
class Parts:
    """What a site is made of; each part can be replaced by a broken one. ``calls`` are those at which threads stand or fail."""

    store: Callable[[Clock], MemoryTaskStore] = MemoryTaskStore
    engine: Callable[..., MemoryEngine] = MemoryEngine
    announce: type[Announce] = Announce
    release: type[Release] = Release
    sweep: type[Sweep] = Sweep
    leases: type[Leases] = PacedLeases
    calls: tuple[str, ...] = (
        "claim",
        "create",
        "begin",
        "start",
        "advance",
        "wait",
        "publish",
        "put",
        "remove",
        "settle",
        "stop",
        "find",
    )
    repeats: int = 4
    faults: tuple[How, ...] = (How.FAIL, How.LOSE_REPLY, How.DIE_BEFORE, How.DIE_AFTER)


@define(eq=False)
class Worker:
    """One worker process."""

    puppet: Puppet
    services: Services
    host: str


@define
class Seen:
    """What was observed and is no longer to be found in the store."""

    ends: dict[str, Task] = field(factory=dict)
    cancelled: dict[str, tuple[State, int]] = field(factory=dict)
    lost: set[str] = field(factory=set)
    started_late: set[str] = field(factory=set)
    holders: dict[str, str] = field(factory=dict)
    late: list[Move] = field(factory=list)
    faults: int = 0
    given_up: bool = False


@contextmanager
def still(parts: Parts) -> Iterator[None]:
    """Workers are made of ``parts``; threads beside a task act when the test says so, or not at all; no clock runs."""
    acting = SimpleNamespace(Thread=ActingThread)
    stopped = SimpleNamespace(monotonic=lambda: 0.0, time=lambda: 0.0)
    parts_of = {"Leases": parts.leases, "Announce": parts.announce, "Release": parts.release}
    patches = [
        *(patch(f"orchestrator.execution.assembly.{name}", part) for name, part in parts_of.items()),
        patch("orchestrator.reconcile.reconciler.Sweep", parts.sweep),
        *(patch(f"orchestrator.execution.{module}.time", stopped) for module in _TIMED),
        patch("orchestrator.execution.runner.threading", acting),
        patch("orchestrator.output.capture._SETTLE", _NEVER),
        patch("orchestrator.output.capture._LOOKS", (_NEVER,)),
    ]
    with ExitStack() as stack:
        for each in patches:
            stack.enter_context(each)
        yield
