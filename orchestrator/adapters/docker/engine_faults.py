"""The answers of an engine that stay the same until somebody changes its settings or those of the worker.

No new try helps, and the task is not to blame. Each row has the engine's own words for one such fault, and the remedy.
"""

import re
from collections.abc import Iterable, Sequence

from attrs import frozen

from orchestrator.errors import EngineUnfit

_DISCARDED = re.compile(r"does not support (?:memory|pids) limit .* discarded", re.IGNORECASE)
_QUOTED = re.compile(r'"(?:\\.|[^"\\])*"')
_PASSING = re.compile(
    "resource temporarily unavailable|resource busy|[Cc]annot allocate memory|no space left|too many open files|signal: killed"
    "|interrupted system call|i/o timeout|context deadline exceeded"
)
"""What a host says that is short of something for a while, whatever it was about to do."""
_MUTE = "unable to retrieve OCI runtime error"


@frozen
class EngineFault:
    """One fault, and how to repair it."""

    fault: str
    """A clause whose subject is the engine."""
    remedy: str
    """The settings to change."""
    example: str
    """The words of an engine that has the fault."""
    words: Sequence[re.Pattern[str]]
    """Each matches the answers of some engines and versions. Quoted words of a task are blank by then."""


def may_pass(text: str) -> bool:
    """Whether the host may only be short of something: it says so, or the runtime ended without a word."""
    said = _QUOTED.sub(_blank, text)
    return bool(_PASSING.search(said) or (_MUTE in said and not any(words.search(said) for words in RUNTIME_PROGRAM.words)))


def fault_in(text: str) -> EngineUnfit | None:
    """The error for the fault that an answer of the engine shows; None if a new try or another task may help."""
    if may_pass(text):
        return None
    said = _QUOTED.sub(_blank, text)
    found = next((each for each in FAULTS if any(words.search(said) for words in each.words)), None)
    return EngineUnfit(f"{found.fault}: {found.remedy}; the engine says: {text}") if found else None


def fault_in_warnings(warnings: Iterable[str]) -> EngineUnfit | None:
    """The error if the engine made a container without a limit that was asked for; None for its other warnings.

    Swap is no limit of a task: most engines that cannot limit it have none.
    """
    lost = next((each for each in warnings if _DISCARDED.search(each)), None)
    return EngineUnfit(f"{CGROUPS.fault}: {CGROUPS.remedy}; the engine says: {lost}") if lost else None


def _blank(quoted: re.Match[str]) -> str:
    """A task chooses the name of its program and of its folder, which may read like a message of the engine."""
    return '""' if " " in quoted[0] else quoted[0]


def _words(*patterns: str) -> Sequence[re.Pattern[str]]:
    return tuple(re.compile(pattern) for pattern in patterns)


RUNTIME = EngineFault(
    "the engine has no such runtime",
    "add it to `runtimes` in the engine's daemon.json (Podman: containers.conf), or change RUNTIME and RUNTIMES_ALLOWED",
    "unknown or invalid runtime name: runsc",
    _words(
        r"[Uu]nknown runtime specified ",  # Docker before 23
        r"unknown or invalid runtime name",
        r"requested OCI runtime \S+ is not available",  # Podman
        r"runtime \S+ binary not installed",  # containerd: no shim of this name
    ),
)
RUNTIME_PROGRAM = EngineFault(
    "the engine's runtime cannot be run",
    "install its program, or change the path in `runtimes` of the engine's daemon.json, or set RUNTIME to another",
    "unable to retrieve OCI runtime error (…): fork/exec /usr/local/bin/runsc: no such file or directory",
    _words(
        # only these: a host short of memory, processes or room in /run ends a good runtime without a word, too
        r"unable to retrieve OCI runtime error .*\): fork/exec .*: (?:no such file|permission denied|exec format error)",
        r"unable to retrieve OCI runtime error .*\): exec: .*: executable file not found",
        r"default OCI runtime \S+ not found",  # Podman
    ),
)
INIT = EngineFault(
    "the engine has no init program",
    "install docker-init (Podman: catatonit), or change `init-path` in the engine's daemon.json (Podman: containers.conf);"
    " a task can do without it by `init: false`",
    'exec: "docker-init": executable file not found in $PATH',
    _words(
        r'^exec: "docker-init": executable file not found',
        r'error mounting "[^"]*" to rootfs at "/(?:sbin/docker-init|dev/init)"[^:]*: stat [^:]*: no such file',
        r"^(?:container create: )?(?:lookup init binary|container-init binary not found on the host)",  # Podman
    ),
)
CGROUPS = EngineFault(
    "the engine cannot limit containers with the control groups of its host",
    "change `native.cgroupdriver` in `exec-opts` of the engine's daemon.json, or RUNTIME, or boot the host with cgroup v2",
    "systemd not running on this host, cannot use systemd cgroups manager",
    _words(
        r"systemd not running on this host, cannot use systemd cgroups? manager",  # runc
        r"cgroups in hybrid mode not supported",  # crun
        r"cgroup mountpoint does not exist",  # containerd
        r"mountpoint for \w+ not found",  # runc
        r"kernel does not support .* or the cgroup is not mounted",  # Docker
    ),
)
SECCOMP = EngineFault(
    "the engine cannot apply its seccomp profile",
    "change `seccomp-profile` in the engine's daemon.json (Podman: containers.conf), or use a kernel and runtime with seccomp",
    "seccomp: config provided but seccomp not supported",
    _words(
        r"seccomp: config provided but seccomp not supported",  # runc
        r"seccomp is not enabled in (?:your|the) kernel",
        r"opening seccomp profile .*failed",
    ),
)
APPARMOR = EngineFault(
    "the engine cannot apply its AppArmor profile",
    "install the package apparmor on the engine's host, or turn AppArmor off in its kernel, then restart the engine",
    "AppArmor enabled on system but the docker-default profile could not be loaded",
    _words(
        r"AppArmor enabled on system but the \S+ profile could not be loaded",  # Docker
        r"apparmor failed to apply profile",  # runc
        r"apparmor: config provided but apparmor not supported",
        r"AppArmor profile \S+ specified but not loaded",  # Podman
    ),
)
STORAGE = EngineFault(
    "the engine's storage lacks a feature that containers need",
    "change `storage-driver` or `data-root` in the engine's daemon.json, or use an engine that is not rootless",
    "--storage-opt is supported only for overlay over xfs with 'pquota' mount option",
    _words(
        r"--storage-opt is supported only for",
        r"error creating overlay mount to .*: (?:invalid argument|operation not supported|function not implemented)",
        r"failed to mount local volume: mount tmpfs:.*: (?:operation not permitted|no such device)",
    ),
)
FOLDERS = EngineFault(
    "the engine cannot bound a folder in memory as tasks need it",
    "set DOCKER_HOST to a Docker engine; Podman 4.3 cannot limit the number of files or set the owner of a tmpfs",
    'unknown mount option "nr_inodes=16384": invalid mount option',
    _words(
        r'unknown mount option "(?:uid|nr_inodes)=',
        r"volume options size and inodes (?:not supported|cannot be used)",
    ),
)
LOG = EngineFault(
    "the engine has no bounded log that keeps all bytes",
    "set DOCKER_HOST to an engine with the log driver `local`, which Docker has and Podman 4.3 has not",
    "running container create option: invalid log driver: invalid argument",
    _words(r"invalid log driver"),
)
FAULTS: Sequence[EngineFault] = (RUNTIME, RUNTIME_PROGRAM, INIT, CGROUPS, SECCOMP, APPARMOR, STORAGE, FOLDERS, LOG)
"""A test has an answer of a real engine for each pattern."""
