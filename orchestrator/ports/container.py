"""A container as the worker plans it and as the engine describes it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from attrs import field, frozen

from orchestrator.task.limits import Limits


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
    entrypoint: tuple[str, ...] | None = None
    """In place of the image's own, which None leaves; empty: none."""
    init: bool = True
    """Whether the first process is an init of the engine's, and the program its child."""


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
    MEMORY_REFUSED = "memory_refused"
    OOM_KILLS = "oom_kills"
    PIDS_PEAK = "pids_peak"
    PIDS_REFUSED = "pids_refused"


@frozen
class Counters:
    """Figures from one source. None of them ever falls; those that the source does not have are left out.

    ``missing`` says why, where it is known.
    """

    source: str
    figures: Mapping[Figure, float]
    missing: Mapping[Figure, str] = field(factory=dict)


@frozen
class ContainerState:
    """A container as the engine describes it; times by the engine's clock, ``now`` being that clock at the time of the answer.

    ``error`` is the engine's own complaint when it could not run the program. ``exit_code`` is meaningless before EXITED.
    ``removing`` says that somebody has begun to remove it, which kills the program if it runs.
    ``counted`` is what the kernel has counted, where this process can read it, also after the exit; ``uncounted`` says why not.
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
    counted: Counters | None = None
    uncounted: str = ""
    removing: bool = False

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

    ``counted`` is what the engine has counted up to now, as are the bytes that went from and to disks and networks; None where
    it does not tell.
    """

    cpu_percent: float
    memory_bytes: int
    counted: Counters | None = None
    read_bytes: int | None = None
    written_bytes: int | None = None
    received_bytes: int | None = None
    sent_bytes: int | None = None


class ContainerProbe(Protocol):
    """What a program leaves on the host of this process while it runs. Where nothing can be seen of it, nothing is said."""

    def counted(self) -> Counters | None:
        """What the kernel has counted up to now; cheap enough to be asked often."""

    def close(self) -> Sequence[str]:
        """Which of its scratch folders have no room left, and let go of all. Called again, gives the same answer."""


class Warmth(StrEnum):
    """Whether a task gets a container that waits for a program, or why not."""

    TAKEN = "taken"
    NONE = "none"
    """All are in use or being made."""
    IMAGE = "image"
    """None is kept for its image and runtime, or the image has changed since."""
    FILES = "files"
    ARTIFACTS = "artifacts"
    NETWORK = "network"
    INIT = "init"
    USER = "user"
    LIMITS = "limits"
    FOLDER = "working_dir"
    PROGRAM = "program"
    """There is none, or its arguments are too long to be handed over."""


@frozen
class Created:
    """A container that is there; ``adopted`` when it was there before, in whatever phase."""

    id: str
    adopted: bool
    warm: Warmth | None = None
    """None where no containers are kept waiting, and for one that was adopted."""


@frozen
class EngineEvents:
    """The names of the signals that the engine's clients, this one included, had sent to it; whether memory ran out in it."""

    signals: Sequence[str] = ()
    out_of_memory: bool = False


@frozen
class Owned:
    """A container with our labels, or a volume that is left of one; ``age`` in seconds, by the engine's clock.

    ``nonce`` tells its task from another of the same id; None where that is not known.
    """

    name: str
    task_id: str
    attempt: int
    age: float
    nonce: str | None = None
