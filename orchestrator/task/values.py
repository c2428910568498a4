"""What a task document is made of, as frozen values: the rows of its history, where its output is, what it used."""

from collections.abc import Mapping
from datetime import datetime

from attrs import field, frozen

from orchestrator.cause import Cause
from orchestrator.task.artifact import Artifact
from statemachine import State, Trigger

Document = Mapping[str, object]
"""A task as the database has it."""
Fields = Mapping[str, object]
"""New values for some of a task's fields, by name; what a unit of work hands to ``record``."""


LONGEST_LEASE = 3600.0
"""Seconds. A lease that ends later than that from now is not one that a worker took, and holds nothing."""


@frozen
class Entry:
    """One transition in ``history``. ``seq`` counts from 1; ``at`` is UTC with milliseconds."""

    seq: int
    trigger: Trigger
    source: State
    status: State
    at: datetime
    attempt: int = 1


@frozen
class ContainerRef:
    """Which container runs the task: its id, its deterministic name and the id of the engine that has it.

    ``engine_start`` is an id that this engine took when it last came up. Two machines may have engines of one id, as clones do,
    but never of one ``engine_start``; empty where the engine tells none.
    """

    id: str
    name: str
    engine: str
    engine_start: str = ""


@frozen
class Input:
    """What became of a container's stdin of more than 64 KiB: the engine has it ``whole``, or its worker had to cut it off."""

    container: str
    whole: bool


@frozen
class Ending:
    """That a worker has sent a signal to a container's program, or was about to, and why; ``out_of_cpu``: for its CPU time."""

    container: str
    cause: Cause
    out_of_cpu: bool = False


@frozen
class LogObject:
    """One stream in object storage: ``bytes`` and ``sha256`` of the object.

    ``truncated`` says that it is less than the program wrote, or may be: ``dropped`` bytes came after the limit, the container
    was lost with the rest, the engine was so slow that it may have dropped the end, or its own log, when that had to be read
    again, does not tell that it has all.
    """

    key: str
    """Empty for an empty stream, which has no object."""
    bytes: int
    sha256: str
    truncated: bool
    dropped: int = 0


@frozen
class Logs:
    """Where the output of the program is."""

    bucket: str
    stdout: LogObject
    stderr: LogObject

    def of(self, stream: str) -> LogObject:
        """The object of a stream, "stdout" or "stderr"."""
        return self.stdout if stream == "stdout" else self.stderr


@frozen
class SeriesObject:
    """Where the points of a run's use over time are: a JSON object beside the logs."""

    key: str
    bytes: int
    sha256: str
    points: int


@frozen
class Usage:
    """A sampled quantity over the run."""

    max: float
    avg: float


@frozen
class Metrics:
    """What the run used. Without a sample both usages are null; ``duration_s`` is wall time by the engine's clock.

    The rest is for all processes together, from the container's start to its end, and null where nothing could be read:
    CPU time and the time for which the CPU limit held the program up, in seconds, and the true peaks of memory, page cache and
    tmpfs included, and of processes and threads. ``source`` says where each figure is from, ``missing`` why one is null.
    """

    cpu_percent: Usage | None
    memory_bytes: Usage | None
    samples: int
    duration_s: float
    cpu_time_s: float | None = None
    throttled_s: float | None = None
    memory_peak_bytes: int | None = None
    pids_peak: int | None = None
    source: Mapping[str, str] = field(factory=dict)
    missing: Mapping[str, str] = field(factory=dict)
    series: SeriesObject | None = None
    """Null when there were no two samples, and when the worker that has them died before it could store them."""


@frozen
class Lease:
    """Who works on the task. ``token`` is new for every claim and fences off earlier holders; times are the database's.

    ``binds`` says that the task was bound to no engine before this claim.
    """

    worker: str
    token: str
    expires_at: datetime
    binds: bool = False


@frozen
class Deletion:
    """That the task is being deleted, since when. ``token`` tells this deletion from that of another task with the same id."""

    token: str
    at: datetime


@frozen
class Outcome:
    """What became of the program; ``cause`` is null when it succeeded."""

    exit_code: int | None
    cause: Cause | None
    message: str
    evidence: dict[str, object] = field(factory=dict)


@frozen
class Attempt:
    """An attempt that was followed by another: what became of it, and where its output is when it was stored.

    ``handed_over`` says that its worker was told to leave and had to cut off its input; MAX_ATTEMPTS does not count it.
    """

    attempt: int
    started_at: datetime | None
    ended_at: datetime
    exit_code: int | None
    cause: Cause | None
    message: str
    logs: Logs | None
    metrics: Metrics | None
    artifacts_stored: tuple[Artifact, ...] = ()
    handed_over: bool = False
