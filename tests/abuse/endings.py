"""Hostile programs that end in an unusual way: exit codes, signals, time and memory."""

from tests.support import pace
from tests.support.abuse_program import GRACE, SHM, TMP, Program, Proof, Seen, argv, named_full, python, shell

_NEVER_ENDED_BY_US = "not tried again"


def _named(signal: str) -> Proof:
    def proof(seen: Seen) -> str:
        assert seen.document["evidence"]["signal"] == signal
        assert signal in seen.document["message"]
        return f"signal {signal}"

    return proof


def _in_time(expected: bytes | None = None) -> Proof:
    """Ended within grace + 1 s after its deadline, with what it printed before."""

    def proof(seen: Seen) -> str:
        stated = seen.document["limits"]["timeout"] + GRACE
        allowed = stated + pace.seconds(seen.crowd)
        assert seen.ran_for <= allowed, f"{seen.ran_for} s is above {allowed} s"
        assert expected is None or seen.stdout == expected
        kept = f"; {len(seen.stdout)} B of output kept" if seen.stdout else ""
        return f"ran {seen.ran_for:.1f} s, {stated + pace.seconds(1):.0f} s at most{kept}"

    return proof


def _oom(seen: Seen) -> str:
    assert seen.document["evidence"]["oom_killed"] is True
    return "oom_killed"


def _full(folder: str) -> Proof:
    """The program is told, and where the folder can be seen from the host the evidence names it."""

    def proof(seen: Seen) -> str:
        assert b"No space left on device" in seen.stderr
        return named_full(seen, folder)

    return proof


EXIT = [
    Program("exit", "exit 0", shell("exit 0")),
    Program("exit", "exit 3", shell("exit 3"), "failed", "exit", 3),
    Program("exit", "exit 255", shell("exit 255"), "failed", "exit", 255),
    Program("exit", "an executable that is not there", argv("no-such-program"), "failed", "exit", 127, _NEVER_ENDED_BY_US),
    Program("exit", "a path that is not there", argv("/no/such/program"), "failed", "exit", 127, _NEVER_ENDED_BY_US),
    Program("exit", "a file that is not executable", argv("/etc/passwd"), "failed", "exit", 126, _NEVER_ENDED_BY_US),
    Program("exit", "a folder as executable", argv("/etc"), "failed", "exit", 126, _NEVER_ENDED_BY_US),
]
_DIVIDE = """
    import ctypes, mmap, os, platform, signal
    if platform.machine() == "x86_64":  # xor ecx, ecx; idiv ecx
        code = mmap.mmap(-1, 4096, prot=7)
        code.write(bytes.fromhex("31c9f7f9c3"))
        ctypes.CFUNCTYPE(None)(ctypes.addressof(ctypes.c_char.from_buffer(code)))()
    os.kill(os.getpid(), signal.SIGFPE)  # other processors do not trap
"""
SIGNALS = [
    Program(
        "signals", "segmentation fault", python("import ctypes; ctypes.string_at(0)"), "failed", "signal", 139,
        "SIGSEGV named", _named("SIGSEGV"),
    ),
    Program("signals", "abort", python("import os; os.abort()"), "failed", "signal", 134, "SIGABRT named", _named("SIGABRT")),
    Program("signals", "divide error", python(_DIVIDE), "failed", "signal", 136, "SIGFPE named", _named("SIGFPE")),
    Program(
        "signals", "kills itself", shell("kill -KILL $$"), "failed", "signal", 137,
        "SIGKILL named, not taken for want of memory", _named("SIGKILL"), "unknown",
        "a KILL that a program sends to itself cannot be told from one that somebody on the host sends: ended_by is unknown",
    ),
]  # fmt: skip
_TREE = """
    trap '' TERM
    for i in 1 2 3; do (trap '' TERM; setsid sh -c 'trap "" TERM; while :; do sleep 1; done') & done
    echo up
    while :; do sleep 1; done
"""
_TIMELY = "ended within its time + grace + 1 s"
TIME = [
    Program(
        "time", "sleeps past its limit", shell("echo before; sleep 60", timeout=1), "timed_out", "timeout", 143,
        f"{_TIMELY}, output kept", _in_time(b"before\n"),
    ),
    Program("time", "busy loop", shell("while :; do :; done", timeout=1), "timed_out", "timeout", 143, _TIMELY, _in_time()),
    Program(
        "time", "prints, then hangs, output unterminated", shell("printf partial; sleep 60", timeout=1), "timed_out", "timeout",
        143, f"{_TIMELY}, output kept", _in_time(b"partial"),
    ),
    Program(
        "time", "ignores SIGTERM", shell("trap '' TERM; echo up; while :; do sleep 1; done", timeout=1), "timed_out", "timeout",
        137, f"{_TIMELY}, output kept", _in_time(b"up\n"),
    ),
    Program(
        "time", "a family in sessions of their own, all ignoring SIGTERM", shell(_TREE, timeout=1), "timed_out", "timeout", 137,
        f"{_TIMELY}, output kept", _in_time(b"up\n"),
    ),
    Program(
        "time", "floods once it is over time", shell("trap 'exec yes' TERM; while :; do sleep 0.1; done", timeout=1),
        "timed_out", "timeout", 137, f"{_TIMELY}; the first cause stands", _in_time(),
    ),
]  # fmt: skip
_MAPS = """
    import mmap
    norereserve = 0x4000
    much = mmap.mmap(-1, 8 << 30, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | norereserve)
    much[0] = much[-1] = 1
    print(len(much) >> 30)
"""


def _mapped(seen: Seen) -> str:
    assert seen.lines == ["8"]
    return "8 GiB mapped at a limit of 32 MiB"


_FILL = "dd if=/dev/zero of={}/x bs=1M"
MEMORY = [
    Program(
        "memory", "touches twice its limit", python("x = b'x' * (64 << 20); print(len(x))", memory="32m"), "failed", "oom", 137,
        "oom in the evidence", _oom,
    ),
    Program(
        "memory", "a child touches too much, its parent exits 0", shell("tail /dev/zero; exit 0", memory="32m"),
        must="oom in the evidence", proof=_oom,
    ),
    Program(
        "memory", "fills /tmp, which is smaller than its memory", shell(_FILL.format(TMP), tmp="8m"), "failed", "exit", 1,
        "the full folder in the evidence", _full(TMP),
    ),
    Program(
        "memory", "fills /tmp at once, and ends at once", shell(f"exec {_FILL.format(TMP)}", tmp="1m"), "failed", "exit", 1,
        "the full folder in the evidence", _full(TMP),
    ),
    Program(
        "memory", "fills /tmp, which is larger than its memory", shell(f"exec {_FILL.format(TMP)}", memory="32m"),
        "failed", "oom", 137, "oom in the evidence", _oom,
    ),
    Program(
        "memory", "fills /dev/shm", shell(_FILL.format(SHM), memory="128m"), "failed", "exit", 1,
        "the full folder in the evidence", _full(SHM),
    ),
    Program(
        "memory", "maps much and touches little", python(_MAPS, memory="32m"), must="8 GiB are mapped", proof=_mapped,
    ),
]  # fmt: skip
