"""The subject that the lifecycle moves: one task that this process has claimed.

``Leases.hold`` claims it, by one conditional update of the store (``TaskStore.claim``).
"""

import threading
from pathlib import Path

from attrs import define, evolve, field

from orchestrator.cause import Cause
from orchestrator.errors import CancelRequested, Interrupted, Superseded
from orchestrator.execution.attempt import Attempt
from orchestrator.execution.leases import HeldLease, Leases
from orchestrator.execution.naming import container_name, spool_folder
from orchestrator.output.spool import Spool
from orchestrator.ports import Stream
from orchestrator.task.document import Task
from orchestrator.task.fields import DROP_MIDDLE
from orchestrator.task.request import Request, Rules, parse_request
from orchestrator.task.values import Ending, Entry, Input
from statemachine import INITIAL, State

KEY_DIGITS = 16
"""Digits of a checksum, or of a token, in the key of an object."""


@define(eq=False)
class Claim:
    """A task, the lease by which this process has it, and the attempt that it is at."""

    task: Task
    """As last stored."""
    lease: HeldLease
    leases: Leases
    state: State
    attempt: Attempt = field(factory=Attempt)
    published: int = 0
    """The last event that is known to be published, by its number in the history."""
    publishing: threading.Lock = field(factory=threading.Lock)
    pending: Entry | None = None
    """The history row that is about to be stored; a repeat after a lost reply has the same one."""
    adopted: bool = False
    """Another holder has begun this attempt."""
    cancelled: bool = False
    """Somebody has asked for the task to be cancelled."""
    broken: str = ""
    """How the infrastructure broke the last attempt that it did."""
    parts: set[str] = field()
    """Keys of objects that may have been begun and are not complete, of all attempts and holders. What was sent of them is
    dropped at the end."""
    pulled: float = 0.0
    """Seconds that pulls took which failed."""

    @parts.default
    def _noted_parts(self) -> set[str]:
        return set(self.task.own_parts)

    @property
    def token(self) -> str:
        """The lease's token, which fences off earlier holders."""
        return self.lease.token

    @property
    def lost(self) -> threading.Event:
        """Set once it is known that somebody else has the task: then no call is made for it but to let go."""
        return self.lease.lost

    @property
    def number(self) -> int:
        """The number of this attempt, from 1."""
        return max(self.task.attempt, 1)

    @property
    def name(self) -> str:
        """The name of this attempt's container."""
        return container_name(self.task.id, self.number)

    @property
    def nonce(self) -> str:
        """What tells the task from another of the same id, in the same database."""
        return self.task.nonce or ""

    @property
    def input(self) -> Input | None:
        """What is known of the input of this attempt's container: what this process wrote, or what is stored."""
        if self.attempt.fed.is_set():
            return Input(self.attempt.container, whole=True)
        stored = self.task.input
        return stored if stored and stored.container == self.attempt.container else None

    @property
    def cause(self) -> Cause | None:
        """Why the task does not succeed: what became of its program comes first, then that its log is not whole."""
        return self.task.cause or (Cause.UPLOAD if self.attempt.cut else None)

    @property
    def ended_for(self) -> Cause | None:
        """Why the worker ended the program; None when it did not. A cancellation stands above every other cause."""
        return Cause.CANCELLED if self.cancelled else self.attempt.ended_for

    def ending_of(self, container: str) -> Ending | None:
        """The stored or noted ending of this container's program: a worker was about to send it a signal."""
        noted = (self.attempt.noted_ending, self.task.ending)
        return next((ending for ending in noted if ending and ending.container == container), None)

    def granted(self, rules: Rules) -> Request:
        """What the task asks for, checked by ``rules`` unless it was started before. Raises InvalidTask."""
        if self.attempt.request is None:
            rules = rules if self.state is INITIAL else rules.waived()
            self.attempt.request = parse_request(self.task.id, self.task.request, rules)
        return self.attempt.request

    def folder(self, spool_dir: Path) -> Path:
        """Where this holder spools. The token keeps holders apart: a stale one never writes where the present one reads."""
        return spool_folder(spool_dir, self.name, self.nonce) / self.token

    def key(self, stream: Stream, mark: str) -> str:
        """The key of a stream's object. ``mark`` is of what is in it, or of this holder."""
        return f"{self.task.id}/{self.number}/{stream}-{mark[:KEY_DIGITS]}.log"

    def early_key(self, stream: Stream) -> str:
        """The key of an object that is begun before its content is known. The token keeps holders apart, as with ``folder``."""
        return self.key(stream, self.token)

    def new_spool(self, spool_dir: Path, rules: Rules) -> Spool:
        """A spool as the task wants it; where the middle may be dropped, half of it is for the end of each stream."""
        request = self.granted(rules)
        cap = request.limits.output
        return Spool(self.folder(spool_dir), cap, cap // 2 if request.on_output_limit == DROP_MIDDLE else 0)

    def note_starting(self, container: str | None) -> None:
        """It is stored which container is about to be started."""
        self.task = evolve(self.task, starting=container)
        self.lease.document = {**self.lease.document, "starting": container}

    def next_attempt(self) -> None:
        """Forget the attempt that has ended; what belongs to the task itself stays."""
        self.attempt.look_away()
        self.attempt = Attempt()
        self.adopted = False

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

    def check_held(self) -> None:
        """Raise Superseded when somebody else has the task: the store is asked when that may be. Raises InfrastructureError."""
        self.leases.check(self.task.id, self.lease)

    def assure_held(self) -> None:
        """As ``check_held``, however long the store is away."""
        self.leases.assure(self.task.id, self.lease)
