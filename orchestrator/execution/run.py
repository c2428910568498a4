"""The subject that the lifecycle moves: one claimed task and what belongs to it in this process."""

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from attrs import define, field

from orchestrator.cause import Cause
from orchestrator.errors import CancelRequested, Interrupted, Superseded
from orchestrator.outcome.usage import PeakCounters, UsageMeter
from orchestrator.outcome.verdict import Facts
from orchestrator.output.artifacts import Gathered
from orchestrator.output.capture import Capture
from orchestrator.output.spool import Sealed, Spool
from orchestrator.ports import ContainerProbe, ContainerState, Counters, Stream
from orchestrator.task.document import Task
from orchestrator.task.fields import DROP_MIDDLE
from orchestrator.task.labels import LIFETIME
from orchestrator.task.request import Limits, Request, Rules, parse_request
from orchestrator.task.values import Ending, Entry, Input
from statemachine import INITIAL, State

KILLED = frozenset({137, 143})
"""Exit codes of a program that got KILL or TERM."""


@define(eq=False)
class Run:
    """One attempt at carrying a task to its end. ``task`` is as last stored; all else can be rebuilt from it and the engine.

    ``container`` is its id, ``probe`` what can be seen of it while it runs. ``deadline`` is by the monotonic clock; None
    when this process did not start the program. ``doubtful`` says that the engine was away while the program ran, so that its
    output may have a hole; ``complete`` that all of it was read; ``out_of_cpu`` that the time that ran out was CPU time;
    ``signalled`` that the program was sent a signal, as far as this process knows; ``noted_ending`` that this process was
    about to send one; ``broken`` how the infrastructure broke the attempt; ``pulled`` seconds that pulls took which failed;
    ``gathered`` what it left in /out, once that is in the spool.
    ``sealed`` are the sums of the spool where they were not noted in it, for want of room; ``cut`` says why the log cannot be
    had whole. ``fed`` is set once the engine has all of a long input. ``unsure_of_input`` says that an earlier worker
    may have left while it was writing that.
    """

    task: Task
    token: str
    state: State
    request: Request | None = None
    capture: Capture | None = None
    probe: ContainerProbe | None = None
    spool: Spool | None = None
    meter: UsageMeter = field(factory=UsageMeter)
    tally: PeakCounters = field(factory=PeakCounters)
    deadline: float | None = None
    final: ContainerState | None = None
    container: str = ""
    published: int = 0
    pending: Entry | None = None
    doubtful: bool = False
    complete: bool = False
    ending: threading.Lock = field(factory=threading.Lock)
    publishing: threading.Lock = field(factory=threading.Lock)
    cancelled: bool = False
    out_of_cpu: bool = False
    signalled: bool = False
    noted_ending: Ending | None = None
    broken: str = ""
    pulled: float = 0.0
    gathered: Gathered | None = None
    sealed: Mapping[Stream, Sealed] | None = None
    cut: str = ""
    lost: threading.Event = field(factory=threading.Event)
    """Set once it is known that somebody else has the task: then no call is made for it but to let go."""
    check_held: Callable[[], None] = lambda: None
    """Raises Superseded when somebody else has the task: the store is asked when that may be. Raises InfrastructureError."""
    assure_held: Callable[[], None] = lambda: None
    """As ``check_held``, however long the store is away."""
    fed: threading.Event = field(factory=threading.Event)
    unsure_of_input: bool = False
    _ended_for: Cause | None = None
    _lock: threading.Lock = field(factory=threading.Lock)

    @property
    def attempt(self) -> int:
        """The number of this attempt, from 1."""
        return max(self.task.attempt, 1)

    @property
    def name(self) -> str:
        """The name of this attempt's container."""
        return container_name(self.task.id, self.attempt)

    @property
    def nonce(self) -> str:
        """What tells the task from another of the same id, in the same database."""
        return self.task.nonce or ""

    @property
    def input(self) -> Input | None:
        """What is known of the input of this attempt's container: what this process wrote, or what is stored."""
        if self.fed.is_set():
            return Input(self.container, whole=True)
        stored = self.task.input
        return stored if stored and stored.container == self.container else None

    def ending_of(self, container: str) -> Ending | None:
        """That a worker was about to end the program of this container: this process, or what is stored."""
        noted = (self.noted_ending, self.task.ending)
        return next((ending for ending in noted if ending and ending.container == container), None)

    def granted(self, rules: Rules) -> Request:
        """What the task asks for, checked by ``rules`` unless it was started before. Raises InvalidTask."""
        if self.request is None:
            rules = rules if self.state is INITIAL else rules.waived()
            self.request = parse_request(self.task.id, self.task.request, rules)
        return self.request

    def folder(self, spool_dir: Path) -> Path:
        """Where this run spools. The token keeps holders apart: a stale one never writes where the present one reads."""
        return spool_folder(spool_dir, self.name, self.nonce) / self.token

    def new_spool(self, spool_dir: Path, rules: Rules) -> Spool:
        """A spool as the task wants it; where the middle may be dropped, half of it is for the end of each stream."""
        request = self.granted(rules)
        cap = request.limits.output
        return Spool(self.folder(spool_dir), cap, cap // 2 if request.on_output_limit == DROP_MIDDLE else 0)

    def check_engine(self, identity: str) -> None:
        """Raise Interrupted for an attempt that is bound to another engine: it comes here only once that one is given up."""
        if self.task.engine not in {None, identity}:
            raise Interrupted(f"its engine {self.task.engine} has not come back")

    def check_wanted(self) -> None:
        """Raise CancelRequested once somebody has asked for the task to be cancelled, or Superseded once it is lost."""
        self.check_lost()
        if self.cancelled:
            raise CancelRequested(f"task {self.task.id} is to be cancelled")

    def check_lost(self) -> None:
        """Raise Superseded once it is known that somebody else has the task. Asks nobody."""
        if self.lost.is_set():
            raise Superseded(f"task {self.task.id} was taken over by another worker")

    def begin_anew(self) -> None:
        """Forget the attempt that has ended; what belongs to the task itself stays."""
        self.look_away()
        self.request = None  # what was waived for an attempt that had begun is not for the next
        self.capture, self.probe, self.spool, self.meter, self.tally = None, None, None, UsageMeter(), PeakCounters()
        self.deadline, self.final, self.container, self.gathered, self.sealed, self.cut = None, None, "", None, None, ""
        self.fed, self.unsure_of_input = threading.Event(), False
        self.doubtful, self.complete, self.out_of_cpu, self.signalled, self._ended_for = False, False, False, False, None
        self.noted_ending = None

    def look(self) -> Counters | None:
        """What was counted for the program up to now."""
        probe = self.probe
        return probe.counted() if probe else None

    def look_away(self) -> None:
        """Watch the program no more; what is being read of its output is read to its end."""
        if self.capture:
            self.capture.stop()
        if self.probe:
            self.probe.close()

    def overdue(self, seconds: float) -> bool:
        """Whether the deadline was more than ``seconds`` ago, where this process knows it."""
        return self.deadline is not None and time.monotonic() > self.deadline + seconds

    @property
    def cause(self) -> Cause | None:
        """Why the task does not succeed: what became of its program comes first, then that its log is not whole."""
        return self.task.cause or (Cause.UPLOAD if self.cut else None)

    @property
    def ended_for(self) -> Cause | None:
        """Why the worker ended the program; None when it did not. A cancellation stands above every other cause."""
        return Cause.CANCELLED if self.cancelled else self._ended_for

    def claim_end(self, cause: Cause) -> bool:
        """Note that the worker ends the program for ``cause``. The first cause stands; False for later ones."""
        with self._lock:
            first = self._ended_for is None
            self._ended_for = self._ended_for or cause
        return first

    def facts(self, state: ContainerState, limits: Limits) -> Facts:
        """What this process knows of its program, which has exited. Waits for a thread that is about to end it."""
        unsure = self.deadline is None or self.doubtful
        with self.ending:
            ended = self.ending_of(state.id) is not None or _is_overdue(state)
            signalled = self.signalled or (unsure and ended)
        return Facts(
            state,
            limits,
            self.ended_for,
            out_of_cpu=self.out_of_cpu and self.ended_for is Cause.TIMEOUT,
            tally=self.tally.with_(self.meter.tally),
            signalled=signalled,
            full=self.probe.close() if self.probe else (),
            unsure=unsure,
            unsure_of_input=self.unsure_of_input,
        )


def _is_overdue(state: ContainerState) -> bool:
    """Whether the program was killed after the time at which any worker ends it, with or without the database."""
    allowed = state.labels.get(LIFETIME, "")
    return allowed.isdecimal() and state.ran_for > int(allowed) and state.exit_code in KILLED


def container_name(task_id: str, attempt: int) -> str:
    """The last part is the attempt, so no two tasks or attempts share a name."""
    return f"{_PREFIX}{task_id}-{attempt}"


def spool_folder(spool_dir: Path, name: str, nonce: str | None) -> Path:
    """Where what is spooled of a container is; each holder of the task has a folder in it."""
    return spool_dir / name / (nonce or "")


def named(name: str) -> tuple[str, int] | None:
    """The inverse of ``container_name``; None for any other name."""
    task_id, _, attempt = name.removeprefix(_PREFIX).rpartition("-")
    return (task_id, int(attempt)) if name.startswith(_PREFIX) and task_id and attempt.isdecimal() else None


_PREFIX = "orchestrator-"
