"""The rows of docs/reliability.md: each is noted by one test, once, or the page is not written."""

from enum import Enum

from attrs import frozen


@frozen
class Again:
    """Why a program may start more than once: how many of its runs the fault takes, and for what reason.

    ``ended_by_engine`` says that the engine itself ends the run, so that an exit with 0 need not be the program's own.
    """

    runs: int = 0
    why: str = ""
    ended_by_engine: bool = False


ONCE = Again()
_DOWN = Again(1, "the engine ends the first run", ended_by_engine=True)
_OUT_OF_PATIENCE = Again(2, "an outage longer than RETRY_BUDGET takes a run, MAX_ATTEMPTS is 3; none after an exit with 0")

_KILL = "SIGKILL the worker process"
_DAEMON = "the Docker daemon restarts"
_SOCKET = "the Docker socket"
_S3 = "object storage"
_CLAIM = "kill to claim"
_ENGINE = "engine back to all ended"
_SERVER = "server back to all ended"
_SUBMIT = "submit to end"
_TAKEN = "killed between dequeue and claim"


class Row(Enum):
    """The number of the fault, what it is, when it strikes, and from what to what the seconds to recover are counted.

    ``again`` says why the program of a task may start more than once, over all attempts.
    """

    def __init__(self, number: int, fault: str, moment: str, since: str = "", again: Again = ONCE) -> None:
        self.number, self.fault, self.moment, self.since, self.again = number, fault, moment, since, again

    @property
    def starts(self) -> str:
        """How often the program of a task may start, over all attempts, as the page says it."""
        return f"{1 + self.again.runs}: {self.again.why}" if self.again.runs else "1"

    KILL_SUCCEEDS = 1, _KILL, "before each call of a program that succeeds", _CLAIM
    KILL_KEEPS = 1, _KILL, "before each call of a program whose files are kept", _CLAIM
    KILL_AGAIN = 1, _KILL, "before each call of a program that fails and is tried again", _CLAIM
    KILL_LATE = 1, _KILL, "before each call of a program that is ended at its deadline", _CLAIM
    KILL_ABSENT = 1, _KILL, "before each call of a task whose image is not there", _CLAIM
    KILL_BESIDE = 1, _KILL, "before each kind of call beside the run: output, its tail, samples, leases", _CLAIM
    KILL_ALONE = 1, _KILL, "running, one at a time, nothing else to do", _CLAIM
    KILL_BOOKS = 1, _KILL, "it keeps RQ's records: a heartbeat, a job that failed, the registries"
    KILL_SWEEP = 1, _KILL, "it sweeps and adopts: before each kind of call"
    KILL_SWEEPER = 1, _KILL, "another worker had just died while it held the sweep's lock", _CLAIM
    KILL_REQUEST = 1, _KILL, "each request to the engine of a run on its way"
    KILL_HAND_OVER = 1, _KILL, "it hands over what runs", "exit to claim"
    KILL_AHEAD = 1, _KILL, "before each kind of call by which 20 MB of output are stored while they come", _CLAIM
    LOOP = 2, "SIGKILL in a loop", "any", "last kill to all ended"
    RACE = 3, "20 deliveries of one task, ten workers race for it", "dequeue"
    FROZEN = 4, "the worker is frozen past its lease and thawed", "before the start to the removal"
    FROZEN_TWICE = (
        4,
        "the worker is frozen past its lease and thawed",
        "about to record the outcome, while the next holder is frozen there, too",
    )
    RESTART_LIVE = 5, f"{_DAEMON} with live-restore (SIGTERM)", "running", _ENGINE
    KILLED_LIVE = 5, f"{_DAEMON} with live-restore (SIGKILL)", "running", _ENGINE
    RESTART = 5, f"{_DAEMON} without live-restore (SIGTERM)", "running", _ENGINE, _DOWN
    KILLED = 5, f"{_DAEMON} without live-restore (SIGKILL)", "running", _ENGINE, _DOWN
    RESTART_CONTENT = (
        5,
        f"{_DAEMON} without live-restore (SIGTERM)",
        "running a program that exits 0 at its SIGTERM, which is its end",
        _ENGINE,
    )
    KILLED_CONTENT = (
        5,
        f"{_DAEMON} without live-restore (SIGKILL)",
        "running one that exits 0 at its SIGTERM, which comes from the next engine",
        _ENGINE,
        _DOWN,
    )
    RESTART_BOTH = 5, f"{_DAEMON} without live-restore (SIGTERM)", "running, its worker just killed", _ENGINE, _DOWN
    KILLED_BOTH = 5, f"{_DAEMON} without live-restore (SIGKILL)", "running, its worker just killed", _ENGINE, _DOWN
    ANOTHER_ENGINE = (
        5,
        "the worker is killed; there is one of another engine, later one of its own",
        "running",
        "one of its own to end",
    )
    LOST_ENGINE = (
        5,
        "the engine and its worker are killed for good; there is one of another engine",
        "running",
        "kill to end",
        _DOWN,
    )
    SOCKET_LOSES = 6, f"{_SOCKET} loses the reply", "in each call, with how often"
    SOCKET_RESETS = 6, f"{_SOCKET} resets", "in each call, with how often"
    SOCKET_500 = 6, f"{_SOCKET} answers 500", "in each call, with how often"
    SOCKET_STALLS = 6, f"{_SOCKET} stalls for 5 s", "in each call, with how often"
    SOCKET_HANGS = 6, f"{_SOCKET} stalls for 65 s", "in each call, with how often"
    SOCKET_CUT = 6, f"{_SOCKET} resets in the middle of a stream", "attach, logs"
    REMOVED = 7, "someone removes the container", "running, collecting"
    IMAGE_ABSENT = 8, "the registry has no such image", "queued", _SUBMIT
    IMAGE_DENIED = 8, "the registry refuses access to the image", "queued", _SUBMIT
    REGISTRY_DOWN = 8, "the registry is down for a while", "queued", "registry back to end"
    REGISTRY_CUTS = 8, "the registry cuts the layer", "queued", _SUBMIT
    REGISTRY_STALLS = 8, "the registry stalls for 75 s", "queued", _SUBMIT
    REGISTRY_DRIPS = 8, "the registry sends 250 bytes of the layer each second", "queued", _SUBMIT
    STUBBORN = (
        9,
        "the command ignores SIGTERM, has children (an init is PID 1, the command never is)",
        "deadline, cancel",
        "cancel to end",
    )
    CANCEL = 10, "cancel", "queued, collecting, uploading"
    CANCEL_RACE = 10, "cancel against deadline against natural exit", "all within 100 ms"
    S3_503 = 11, f"{_S3} answers 503", "uploading", _SUBMIT
    S3_FULL = 11, f"{_S3} is full", "uploading", _SUBMIT
    S3_RESETS = 11, f"{_S3} resets", "uploading", _SUBMIT
    S3_LOSES = 11, f"{_S3} loses the reply", "uploading", _SUBMIT
    S3_STALLS = 11, f"{_S3} stalls", "uploading", _SUBMIT
    S3_DOWN = 11, f"{_S3} is down for a while", "uploading", _SERVER
    MONGO_LOSES = 12, "MongoDB loses a reply after the commit", "each write of a run"
    MONGO_DOWN = 12, "MongoDB is down for longer than the lease", "each state", _SERVER
    MONGO_CONTESTED = (
        12,
        "MongoDB is away from one worker for longer than the lease; another one takes its tasks",
        "running; half of the programs end meanwhile",
        _SERVER,
    )
    SERVERS = 12, "MongoDB, S3, Redis are killed and restarted in turn", "running", _SERVER
    REDIS_KEPT = 13, "Redis is killed and comes back with its data", "queued, running, publishing", _SERVER
    REDIS_EMPTY = 13, "Redis is killed and comes back empty", "queued, running, publishing", _SERVER
    TAKEN_FETCH = 14, _TAKEN, "before it reads the job", _CLAIM
    TAKEN_NOTE = 14, _TAKEN, "before it notes that the job is begun", _CLAIM
    TAKEN_CLAIM = 14, _TAKEN, "before the claim", _CLAIM
    TAKEN_TWICE = 14, _TAKEN, "and the next worker before it puts the entry back in line", _CLAIM
    TERM_ONCE = 15, "SIGTERM once", "running", "signal to all ended"
    TERM_TWICE = 15, "SIGTERM twice", "running", "exit to claim"
    CLOCK_FORWARD = 16, "the clock jumps +1h", "running"
    CLOCK_BACK = 16, "the clock jumps -1h", "running"
    DATABASE_FORWARD = 16, "MongoDB's clock jumps +1h", "running; a second worker may take the lease, and adopts the program"
    DATABASE_BACK = 16, "MongoDB's clock jumps -1h", "running; a second worker may take the lease, and adopts the program"
    DISK_SMALL = 17, "the spool's disk is too small for the log", "collecting: one start, what fits is kept, failed (upload)"
    DISK_ARTIFACT = 17, "the spool's disk is too small for an artifact", "collecting: one start, the rest is kept, succeeded"
    DISK_FULL = 17, "the spool's disk is full for a while", "running, collecting", "room to end"
    DISK_FINISHED = (
        17,
        "the spool's disk has no room left when the program has finished",
        "running, collecting, uploading; its worker goes on, or another one adopts it",
    )
    STATS = 18, "the stats stream hangs or ends early", "running"
    SOAK = 19, "faults at random", "any", "last fault to all ended", _OUT_OF_PATIENCE
    BUSY_ENGINE = (
        20,
        "more than 256 events of others follow the end of each program",
        "running; its worker goes on, or is killed",
    )
    NEIGHBOURS = (
        21,
        "another installation shares queue, engine and spool; jobs of another application stand in line",
        "any; everybody sweeps",
    )
    NO_DESCRIPTORS = (
        22,
        "the worker has no file descriptor left for a while",
        "running, collecting, uploading",
        "descriptors to end",
    )
    COPIED_DATABASE = (
        23,
        "the database is copied, and the copy's worker sweeps the same engine",
        "running; one of the original's workers is killed",
    )
    SLOW_DATABASE = 24, "MongoDB takes 4 s for each answer", "running; another worker looks for lost tasks"
