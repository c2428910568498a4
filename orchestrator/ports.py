"""What the worker asks of the outside. Each docstring is the contract that every adapter, real or in memory, is tested against.

All calls block; all are safe to call from many threads and safe to repeat. Any of them may raise InfrastructureError when its
service is away or does not do its part. Times are seconds.
"""

from collections.abc import Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from attrs import field, frozen

from orchestrator.event import Event
from orchestrator.request import Limits
from orchestrator.task import Document, Entry, Fields


@frozen
class Move:
    """One transition to be stored, for compare-and-set: it applies only to the task as its holder last read it.

    ``token`` is the holder's lease token; ``entry.source`` and ``entry.seq - 1`` are the status and seq that must be stored.
    ``unless_cancelled`` makes it apply only while nobody has asked for the task to be cancelled.
    """

    task_id: str
    token: str
    entry: Entry
    fields: Fields
    unless_cancelled: bool = False


class TaskStore(Protocol):
    """The task documents."""

    def prepare(self) -> None:
        """Make the indexes that are missing."""

    def insert(self, document: Document) -> None:
        """Add a task. Raises DuplicateTask when its ``_id`` is taken."""

    def find(self, task_id: str) -> Document | None:
        """The document as stored, datetimes with a time zone; None when there is none."""

    def list(self, status: str | None, limit: int) -> Iterable[Document]:
        """The newest tasks by ``created_at``, at most ``limit`` of them, without their files and stdin."""

    def claim(self, task_id: str, worker: str, token: str, ttl: float, engine: str | None = None) -> Document | None:
        """Take the lease of a task that is not terminal and whose lease is free or has expired, by the database's clock.

        With ``engine`` the attempt is bound to that engine, and one that is bound to another is not to be had.
        Returns the document with the lease in it, or None when the task is unknown, terminal, bound elsewhere or held by
        another token. Repeating it with the same token returns the document again, so a lost reply is harmless.
        Raises InvalidTask for a queued document that leaves no room for what the worker writes; then it is not held.
        """

    def renew(self, tokens: Mapping[str, str], ttl: float) -> frozenset[str]:
        """Extend the leases {task id: token}; returns the ids still held. An expired lease that nobody took is still held."""

    def let_go(self, task_id: str, token: str) -> None:
        """Free the lease at once, so that another worker may claim the task; nothing when it is not held with this token."""

    def advance(self, move: Move) -> Document:
        """Compare-and-set: store the new status, seq, fields and history row in one write and return the document after it.

        Raises Superseded, changing nothing, unless status, seq and lease token are as ``move`` expects, and CancelRequested
        when only ``unless_cancelled`` stands against it. A repeat of a move that is already stored returns the document. A
        terminal status frees the lease and marks the task as not settled. Raises InvalidTask when it would be too large.
        """

    def reset(self, task_id: str) -> None:
        """Leave nothing of a document that cannot be read or is too large but its id and ``created_at``, queued.

        Nothing when somebody holds it, or when it is terminal.
        """

    def settle(self, task_id: str, seq: int) -> None:
        """Note that all events of a terminal task, up to ``seq``, are published and that nothing of it is left to release."""

    def request_cancel(self, task_id: str) -> Document | None:
        """Note when it was first asked to cancel a task that is not terminal; the document afterwards, None if unknown."""

    def cancelled(self, task_ids: Collection[str]) -> frozenset[str]:
        """Those of the tasks for which cancellation was requested."""

    def unbind(self, task_id: str, engine: str) -> None:
        """Free a task whose lease has expired from ``engine``, so that a worker of another engine may claim it."""

    def now(self) -> datetime:
        """The database's clock."""

    def active(self) -> Sequence[Document]:
        """The tasks that are running, collecting or uploading; of each what a sweep looks at, nothing that may be large."""

    def waiting(self, limit: int) -> Sequence[Document]:
        """The queued tasks that were created first, likewise."""

    def unsettled(self, limit: int) -> Sequence[Document]:
        """Terminal tasks that are not settled, likewise."""

    def deployment(self) -> str:
        """An id of this database, made when it is first asked for: tells its containers from those of other deployments."""


class EventBus(Protocol):
    """Pub/Sub: channels ``tasks`` and ``tasks:<id>``. Lossy for subscribers that are away."""

    def publish(self, event: Event) -> None:
        """Send to both channels. May deliver twice after a lost reply; ``seq`` tells."""

    def subscribe(self, task_id: str | None) -> AbstractContextManager[Iterator[Event | None]]:
        """Events of one task, or of all, from the moment the context is entered; yields None about once a second when idle."""


class Queue(Protocol):
    """The queue of task ids waiting for a worker."""

    def enqueue(self, task_id: str) -> None:
        """Put the task in line. Enqueueing an id twice is allowed: the claim sorts it out."""

    def first(self, limit: int) -> frozenset[str]:
        """The ids of the first ``limit`` entries in line, and of all that are on their way to a worker."""


class Mutex(Protocol):
    """A lock that all workers share."""

    def hold(self, name: str, ttl: float) -> AbstractContextManager[bool]:
        """True for the one who has the lock, for at most ``ttl`` seconds; False at once for the others."""


class LogStore(Protocol):
    """Object storage for logs, one bucket."""

    @property
    def bucket(self) -> str:
        """The name of the bucket."""

    def prepare(self) -> None:
        """Make the bucket when it is missing; no error when another worker made it first."""

    def put(self, key: str, path: Path, sha256: str) -> None:
        """Store the file's bytes, with ``sha256`` (lower-case hex) in the object's metadata, replacing what was there."""

    def stat(self, key: str) -> tuple[int, str] | None:
        """(bytes, sha256 from the metadata) of the object, or None when there is none."""

    def get(self, key: str) -> Iterator[bytes]:
        """The object's bytes in chunks. Raises UnknownTask when there is none."""


class PullPolicy(StrEnum):
    """When to ask the registry for an image."""

    MISSING = "missing"
    ALWAYS = "always"
    NEVER = "never"


@frozen
class ContainerPlan:
    """Everything that makes a task's container. ``command`` None means the image's own; ``stdin`` None means closed.

    ``out`` gives it a folder /out to write to, of at most ``limits.artifacts`` bytes, that can be read when it has exited.
    ``network`` connects it to a bridge on which containers do not reach each other; ``runtime`` None is the engine's default.
    """

    name: str
    image: str
    command: tuple[str, ...] | None
    env: Mapping[str, str]
    working_dir: str | None
    user: str
    network: bool
    stdin: bytes | None
    files: Mapping[str, bytes]
    limits: Limits
    labels: Mapping[str, str]
    runtime: str | None = None
    out: bool = False


class Phase(StrEnum):
    """Where a container is in its life, as far as the worker cares."""

    CREATED = "created"
    RUNNING = "running"
    EXITED = "exited"


class Figure(StrEnum):
    """What is counted over the life of a container: seconds, bytes, or how often; its init process is left out of its pids.

    Its start is in it: some 20 ms of CPU, 4 MB, and up to 8 threads for a moment.
    """

    CPU_TIME = "cpu_time_s"
    THROTTLED = "throttled_s"
    MEMORY_PEAK = "memory_peak_bytes"
    OOM_KILLS = "oom_kills"
    PIDS_PEAK = "pids_peak"
    PIDS_REFUSED = "pids_refused"


@frozen
class Counted:
    """Figures from one source. None of them ever falls; those that the source does not have are left out."""

    source: str
    figures: Mapping[Figure, float]


@frozen
class ContainerState:
    """A container as the engine describes it; times by the engine's clock, ``now`` being that clock at the time of the answer.

    ``error`` is the engine's own complaint when it could not run the program. ``exit_code`` is meaningless before EXITED.
    ``counted`` is what the kernel has counted, where this process can read it, also after the exit.
    """

    id: str
    phase: Phase
    now: datetime
    exit_code: int = 0
    oom_killed: bool = False
    error: str = ""
    started_at: datetime | None = None
    finished_at: datetime | None = None
    labels: Mapping[str, str] = field(factory=dict)
    counted: Counted | None = None

    @property
    def ran_for(self) -> float:
        """Seconds from the start of the program to its end, or to now while it runs; 0 when it never started.

        The engine may note the end of a very short program a moment before its start.
        """
        if self.started_at is None:
            return 0.0
        return max(((self.finished_at or self.now) - self.started_at).total_seconds(), 0.0)


class Stream(StrEnum):
    """The two streams of a program."""

    STDOUT = "stdout"
    STDERR = "stderr"


Chunk = tuple[Stream, bytes]


@frozen
class Sample:
    """One reading: CPU in % of one core (two busy cores are 200), memory in bytes without droppable page cache.

    ``counted`` is what each source has counted up to now.
    """

    cpu_percent: float
    memory_bytes: int
    counted: tuple[Counted, ...] = ()


@frozen
class Created:
    """A container that is there; ``adopted`` when it was there before, in whatever phase."""

    id: str
    adopted: bool


@frozen
class Owned:
    """A container with our labels, or a volume that is left of one; ``age`` in seconds, by the engine's clock."""

    name: str
    task_id: str
    attempt: int
    age: float


@frozen
class Host:
    """The machine that an engine runs containers on: CPUs, and memory in bytes."""

    cpus: float
    memory: int


class Engine(Protocol):
    """A container engine. We name containers, so that making one can be repeated after a lost reply; else ids are passed."""

    def identity(self) -> str:
        """An id of the engine that stays over its restarts."""

    def host(self) -> Host:
        """What its machine has."""

    def pull(self, image: str, policy: PullPolicy) -> None:
        """Make sure the image is there. Raises ImageUnavailable when it cannot be had; hiccups are InfrastructureError."""

    def create(self, plan: ContainerPlan) -> Created:
        """Make the container with its files, not started.

        When one of this name and labels runs or has exited, that one is adopted; one that was never started is replaced, so
        that whoever else still means to start it finds it gone. Raises ImageUnavailable when the image is gone and TaskFailure
        (invalid) when the engine refuses the plan.
        """

    def attach(self, container: str, stdin: bytes | None) -> Iterator[Chunk]:
        """The output of a container that is not started yet, byte-exact, until the program ends or the connection is cut.

        Attached when this returns, so the program is seen from its first byte; ``stdin`` is written once it runs, then closed.
        A cut may look like an end. Stop reading and the program blocks. Raises ContainerMissing.
        """

    def read_log(self, container: str) -> Iterator[Chunk]:
        """The output of a started container from the engine's own log, from the first byte until the program ends.

        A cut raises InfrastructureError. Nobody blocks when this is read slowly. Raises ContainerMissing.
        """

    def start(self, container: str) -> None:
        """Start a container that was never started; nothing on one that runs or has exited. Raises ContainerMissing."""

    def inspect(self, container: str) -> ContainerState:
        """The container of this id or name as it is now. Raises ContainerMissing."""

    def wait(self, container: str, timeout: float) -> ContainerState:
        """Block until the container has exited or ``timeout`` has passed, then inspect it. Raises ContainerMissing."""

    def stop(self, container: str, grace: float) -> None:
        """TERM, after ``grace`` seconds KILL; returns when it does not run. Grace 0 kills at once. Nothing when it is gone."""

    def signals(self, container: str) -> Sequence[str]:
        """The names of the signals that the engine's clients, this one included, had sent to it, as far as it remembers."""

    def stats(self, container: str) -> Iterator[Sample]:
        """A sample about each second while the program runs; ends when it does, or early when the engine hiccups."""

    def archive(self, name: str) -> Generator[bytes]:
        """The folder /out of the exited container of this name, made with ``out``, as a tar of ``out`` and what is below it.

        The program made what is in it: an enemy's archive. It may be closed before its end. Raises ContainerMissing when the
        folder is gone, which it is once the engine was restarted; a cut raises InfrastructureError.
        """

    def remove(self, name: str) -> None:
        """Remove the container of this name, running or not, and its volumes; nothing when they are gone."""

    def owned(self, deployment: str) -> Sequence[Owned]:
        """All containers of a deployment, whatever their phase, and volumes that have none."""
