"""Hostile programs that want too much of something: processes, output, files."""

import hashlib

from tests.support import pace
from tests.support.abuse_program import SHM, TMP, Program, Proof, Seen, named_full, python, shell

MIB = 1 << 20
BYTES = bytes(range(256)) * 64


def _count(most: int, what: str) -> Proof:
    """The program counts up to where it was refused."""

    def proof(seen: Seen) -> str:
        reached = int(seen.lines[-1])
        assert 0 < reached <= most
        if what != "files":
            _met_limit(seen)
        return f"refused after {reached} {what}"

    return proof


def _met_limit(seen: Seen) -> str:
    """Where the kernel's count can be read the evidence has the limit that was met."""
    evidence, pids = seen.document["evidence"], seen.document["limits"]["pids"]
    assert not evidence["counted"] or evidence["pids_limit"]["limit"] == pids
    refused = evidence.get("pids_limit", {}).get("refused")
    return f"limit of {pids} processes met" + (f", {refused} refused" if refused else "")


def _cannot_fork(seen: Seen) -> str:
    _met_limit(seen)
    assert b"can't fork" in seen.stderr
    return "the program was told: can't fork"


def _promptly(seen: Seen) -> str:
    assert seen.ran_for < pace.seconds(10)
    return f"ended after {seen.ran_for:.1f} s"


_BOMB = """
    import os
    while True:
        try:
            os.fork()
        except OSError:
            pass
"""
_COUNTED_BOMB = """
    import os, time
    made = 0
    try:
        while True:
            if os.fork() == 0:
                time.sleep(600)
            made += 1
    except OSError:
        print(made)
"""
_THREADS = """
    import threading
    made, hold = 0, threading.Event()
    try:
        while True:
            threading.Thread(target=hold.wait, daemon=True).start()
            made += 1
    except RuntimeError:
        print(made)
"""
_CLASSIC = "b() { b | b & }; b 2>/dev/null & i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; exit 0"
PROCESSES = [
    Program(
        "processes", "fork bomb in Python", python(_BOMB, pids=64, timeout=2), "timed_out", "timeout", None,
        "bounded, its limit of processes in the evidence", _met_limit,
    ),
    Program(
        "processes", "fork bomb in the shell", shell("while :; do sleep 600 & done", pids=32), "failed", "exit", 2,
        "bounded, and told so", _cannot_fork,
    ),
    Program(
        "processes", "the classic fork bomb, beside a program that exits 0", shell(_CLASSIC, pids=64),
        must="ends with its first process, its limit of processes in the evidence", proof=_met_limit,
    ),
    Program(
        "processes", "forks until it is refused", python(_COUNTED_BOMB, pids=64), must="64 processes at most",
        proof=_count(63, "children"),
    ),
    Program(
        "processes", "thread bomb", python(_THREADS, pids=64), must="64 threads at most", proof=_count(63, "threads"),
    ),
    Program(
        "processes", "100 orphans and exit 0",
        shell("i=0; while [ $i -lt 100 ]; do (sleep 600 &) ; i=$((i+1)); done; exit 0"),
        must="ends with its first process, nothing left", proof=_promptly,
    ),
    Program(
        "processes", "a session detached from it", shell("(setsid nohup sleep 600 >/dev/null 2>&1 &) ; exit 0"),
        must="ends with its first process, nothing left", proof=_promptly,
    ),
    Program(
        "processes", "a detached session that keeps its output open", shell("setsid sh -c 'sleep 600' & exit 0"),
        must="ends with its first process, nothing left", proof=_promptly,
    ),
]  # fmt: skip


def _capped(stream: str, cap: int, byte_values: bytes) -> Proof:
    """Exactly the first ``cap`` bytes are kept, and it says how many were dropped."""

    def proof(seen: Seen) -> str:
        kept, noted = getattr(seen, stream), seen.document["logs"][stream]
        assert len(kept) == noted["bytes"] == cap
        assert {*kept} <= {*byte_values}
        assert noted["truncated"]
        assert noted["dropped"] > 0
        return f"first {cap} B of {stream} kept, {noted['dropped']} B read and dropped"

    return proof


def _exactly(expected: bytes) -> Proof:
    def proof(seen: Seen) -> str:
        noted = seen.document["logs"]["stdout"]
        assert seen.stdout == expected
        assert noted["sha256"] == hashlib.sha256(expected).hexdigest()
        assert (noted["truncated"], noted["dropped"]) == (False, 0)
        return f"{len(expected)} B, SHA-256 as computed here"

    return proof


_X = "head -c {} /dev/zero | tr '\\0' x"
OUTPUT = [
    Program(
        "output", "endless stdout", shell("yes", output="64k"), "failed", "output_limit", 137, "the first bytes are kept",
        _capped("stdout", 64 << 10, b"y\n"),
    ),
    Program(
        "output", "endless stderr", shell("yes >&2", output="64k"), "failed", "output_limit", 137, "the first bytes are kept",
        _capped("stderr", 64 << 10, b"y\n"),
    ),
    Program(
        "output", "endless on both, ignoring SIGTERM", shell("trap '' TERM; yes & yes >&2", output="64k"), "failed",
        "output_limit", 137, "ended at once", _promptly,
    ),
    Program(
        "output", "100 MB without a newline", shell(f"{_X.format(100_000_000)}; echo done", output="10m"), "failed",
        "output_limit", 137, "the first bytes are kept, no hang", _capped("stdout", 10 * MIB, b"x"),
    ),
    Program(
        "output", "12 MB without a newline, below its limit", shell(_X.format(12_000_000), output="16m"),
        must="all of it", proof=_exactly(b"x" * 12_000_000),
    ),
    Program(
        "output", "all 256 byte values", shell("cat /task/bytes", files={"bytes": BYTES}), must="byte for byte",
        proof=_exactly(BYTES),
    ),
    Program(
        "output", "a line of 130 kB", shell(f"{_X.format(130_000)}; echo"), must="in one piece",
        proof=_exactly(b"x" * 130_000 + b"\n"),
    ),
    Program("output", "closes its streams and goes on", shell("exec >&- 2>&-; sleep 1; true"), proof=_exactly(b"")),
]  # fmt: skip
_WRITES = """
    import os
    for folder, _, names in os.walk("/"):
        if folder in ("/proc", "/tmp", "/dev/shm", "/dev/mqueue", "/sys", "/dev/pts"):
            names.clear()
        for path in [folder, *(f"{folder}/{name}" for name in names)]:
            if os.access(path, os.W_OK) and not os.path.islink(path) and not path.startswith(("/proc/", "/sys/")):
                print(path)
    for folder in ("/", "/etc", "/usr", "/usr/bin", "/var", "/task", "/root", "/dev", "/proc", "/sys", "/run"):
        try:
            open(f"{folder}/abuse", "w")
            print("wrote to", folder)
        except OSError:
            pass
"""


def _files_in(folder: str) -> str:
    return f"""
        made = 0
        try:
            while made < 10 ** 6:
                open(f"{folder}/{{made}}", "x").close()
                made += 1
        except OSError as error:
            print(error.strerror)
        print(made)
        """


_DEVICES = {"/dev/full", "/dev/null", "/dev/ptmx", "/dev/pts/ptmx", "/dev/random", "/dev/tty", "/dev/urandom", "/dev/zero"}
_SCRATCH = {TMP, SHM, "/dev/mqueue"}


def _only_scratch(seen: Seen) -> str:
    writable = {line for line in seen.lines if not line.startswith("wrote")}
    assert not [line for line in seen.lines if line.startswith("wrote")]
    assert writable <= _DEVICES | _SCRATCH, writable - _DEVICES - _SCRATCH
    return f"writable are {', '.join(sorted(writable & _SCRATCH))} and harmless devices"


def _inodes(folder: str, most: int) -> Proof:
    def proof(seen: Seen) -> str:
        assert seen.lines[0] == "No space left on device"
        return f"{_count(most, 'files')(seen)}, {named_full(seen, folder)}"

    return proof


def _sparse(seen: Seen) -> str:
    return f"{seen.lines[-1]}; ended after {seen.ran_for:.1f} s, nobody reads it"


_SPARSE = "truncate -s 1T /tmp/x && stat -c '%s B apparent, %b blocks' /tmp/x || echo refused"
FILES = [
    Program(
        "files", "writes to /, /etc, /usr and wherever it can", python(_WRITES), must="only scratch space is writable",
        proof=_only_scratch,
    ),
    Program(
        "files", "10^6 empty files in /tmp", python(_files_in(TMP), tmp="16m"), must="bounded in inodes",
        proof=_inodes(TMP, 4096),
    ),
    Program(
        "files", "10^6 empty files in /dev/shm", python(_files_in(SHM), memory="64m"),
        must="bounded in inodes", proof=_inodes(SHM, 16384),
    ),
    Program("files", "a sparse file of 1 TiB", shell(_SPARSE), must="never read", proof=_sparse),
    Program(
        "files", "writes to its own input", shell("echo x >> /task/in || exit 9", files={"in": "kept"}), "failed", "exit", 9,
        "read-only",
    ),
]  # fmt: skip
