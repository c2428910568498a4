"""The subject that the lifecycle moves: one claimed task and what belongs to it in this process."""

import threading
import time

from attrs import define, field

from orchestrator.capture import Capture
from orchestrator.cause import Cause
from orchestrator.ports import ContainerState
from orchestrator.request import Request
from orchestrator.spool import Spool
from orchestrator.task import Entry, Task
from orchestrator.usage import Meter
from statemachine import State


@define(eq=False)
class Run:
    """One attempt at carrying a task to its end. ``task`` is as last stored; all else can be rebuilt from it and the engine.

    ``container`` is its id. ``deadline`` is by the monotonic clock; None when this process did not start the program.
    ``doubtful`` says that the engine was away while the program ran, so that its output may have a hole; ``complete`` that all
    of it was read.
    """

    task: Task
    token: str
    state: State
    request: Request | None = None
    capture: Capture | None = None
    spool: Spool | None = None
    meter: Meter = field(factory=Meter)
    deadline: float | None = None
    final: ContainerState | None = None
    container: str = ""
    published: int = 0
    pending: Entry | None = None
    doubtful: bool = False
    complete: bool = False
    _ended_for: Cause | None = None
    _lock: threading.Lock = field(factory=threading.Lock)

    @property
    def attempt(self) -> int:
        """The number of this attempt, from 1."""
        return max(self.task.attempt, 1)

    @property
    def name(self) -> str:
        """The container's name; the last part is the attempt, so no two tasks or attempts share one."""
        return f"orchestrator-{self.task.id}-{self.attempt}"

    def overdue(self, seconds: float) -> bool:
        """Whether the deadline was more than ``seconds`` ago, where this process knows it."""
        return self.deadline is not None and time.monotonic() > self.deadline + seconds

    @property
    def ended_for(self) -> Cause | None:
        """Why the worker ended the program; None when it did not."""
        return self._ended_for

    def claim_end(self, cause: Cause) -> bool:
        """Note that the worker ends the program for ``cause``. The first cause stands; False for later ones."""
        with self._lock:
            first = self._ended_for is None
            self._ended_for = self._ended_for or cause
        return first
