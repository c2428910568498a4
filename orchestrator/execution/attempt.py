"""One attempt at running a task's program: what this process knows of it. A retry replaces it as a whole."""

import threading
import time
from collections.abc import Mapping

from attrs import define, field

from orchestrator.cause import Cause
from orchestrator.outcome.series import Recording
from orchestrator.outcome.usage import PeakCounters, UsageMeter
from orchestrator.output.ahead import Ahead
from orchestrator.output.artifacts import Gathered
from orchestrator.output.capture import Capture
from orchestrator.output.live import LiveWriter
from orchestrator.output.spool import Sealed, Spool
from orchestrator.ports import ContainerProbe, ContainerState, Counters, Stream
from orchestrator.task.request import Request
from orchestrator.task.values import Ending


@define(eq=False)
class Attempt:
    """All of it can be found again from the task's document and the engine, so that another process can go on."""

    request: Request | None = None
    """What the task asks for, once it was checked."""
    container: str = ""
    """The container's id; empty until it is made or found."""
    deadline: float | None = None
    """By the monotonic clock; None when this process did not start the program."""
    probe: ContainerProbe | None = None
    """What can be seen of the container while it runs."""
    final: ContainerState | None = None
    """The container's state after the exit, where this process saw it."""

    capture: Capture | None = None
    spool: Spool | None = None
    live: LiveWriter | None = None
    """Sends the output while it comes."""
    ahead: Ahead | None = None
    """Stores the output while it comes."""
    complete: bool = False
    """Whether all of the output was read."""
    doubtful: bool = False
    """The engine was away while the program ran, so the output may have a hole."""
    sealed: Mapping[Stream, Sealed] | None = None
    """The sums of the spool, where the disk had no room to note them beside it."""
    unsound: bool = False
    """A file of the spool was not as it was sealed, or could not be read."""
    cut: str = ""
    """Why the log cannot be had whole."""
    gathered: Gathered | None = None
    """The artifacts, once they are in the spool."""
    put: set[str] = field(factory=set)
    """The keys of all objects that this process has put, or tried to put."""
    fed: threading.Event = field(factory=threading.Event)
    """Set once the engine has all of a long input."""
    unsure_of_input: bool = False
    """An earlier worker may have left while it was writing the input."""

    meter: UsageMeter = field(factory=UsageMeter)
    tally: PeakCounters = field(factory=PeakCounters)
    recording: Recording = field(factory=Recording)
    """What it used over time, from when this process began to watch it."""

    ending: threading.Lock = field(factory=threading.Lock)
    """Held by the thread that ends the program."""
    signalled: bool = False
    """The program was sent a signal, as far as this process knows."""
    noted_ending: Ending | None = None
    """This process was about to send a signal."""
    out_of_cpu: bool = False
    """The time that ran out was CPU time."""
    ended_for: Cause | None = None
    """Why the worker ended the program; None when it did not."""
    _lock: threading.Lock = field(factory=threading.Lock)

    def claim_end(self, cause: Cause) -> bool:
        """Note that the worker ends the program for ``cause``. The first cause stands; False for later ones."""
        with self._lock:
            first = self.ended_for is None
            self.ended_for = self.ended_for or cause
        return first

    def overdue(self, seconds: float) -> bool:
        """Whether the deadline was more than ``seconds`` ago, where this process knows it."""
        return self.deadline is not None and time.monotonic() > self.deadline + seconds

    def look(self) -> Counters | None:
        """What was counted for the program up to now."""
        probe = self.probe
        return probe.counted() if probe else None

    def look_away(self) -> None:
        """Watch the program no more; what is being read of its output is read to its end."""
        if self.capture:
            self.capture.stop()
        if self.live:
            self.live.end()
        if self.ahead:
            self.ahead.over = True
        if self.probe:
            self.probe.close()
