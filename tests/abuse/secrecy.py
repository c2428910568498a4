"""Hostile programs that look for what is not theirs: secrets of the worker or the host, and what other tasks left."""

from tests.support.abuse_program import Program, Proof, Seen, python, shell

CANARY = "ABUSE_CANARY"
"""A variable of the worker's environment that no program may see."""


def _nothing_of_ours(seen: Seen) -> str:
    assert CANARY.encode() not in seen.stdout
    assert b"SECRET" not in seen.stdout
    assert {line.split("=")[0] for line in seen.lines} <= {"HOME", "HOSTNAME", "PATH", "SHLVL", "PWD", "GIVEN"}
    return f"only {', '.join(sorted(line.split('=')[0] for line in seen.lines))}"


def _no_canary(seen: Seen) -> str:
    assert CANARY.encode() not in seen.stdout
    assert b"GIVEN" in seen.stdout
    return "its own environment, nothing of the worker's"


def _nothing(what: str) -> Proof:
    def proof(seen: Seen) -> str:
        assert seen.lines == []
        return what

    return proof


_KERNEL = """
    for file in /proc/kcore /proc/keys /proc/latency_stats /proc/timer_list /proc/timer_stats /proc/sched_debug \
                /dev/mem /dev/kmem /dev/kmsg /dev/port /dev/sda /dev/vda /dev/nvme0n1; do
        if [ -e $file ] && [ "$(head -c 64 $file 2>/dev/null | wc -c)" != 0 ]; then echo $file; fi
    done
    ls -A /proc/scsi /proc/acpi /sys/firmware 2>/dev/null | grep -v :$ | grep .
    true
"""
_SYS = """
    import os
    for root in ("/sys", "/proc/sys"):
        for folder, _, names in os.walk(root):
            print(*(path for name in names if os.access(path := f"{folder}/{name}", os.W_OK)), sep="\\n", end="")
    for path in ("/proc/sysrq-trigger", "/proc/sys/kernel/core_pattern", "/proc/irq/default_smp_affinity"):
        try:
            open(path, "w")
            print(path)
        except OSError:
            pass
"""
SECRETS = [
    Program("secrets", "its environment", shell("env", env={"GIVEN": "x"}), must="only its own", proof=_nothing_of_ours),
    Program(
        "secrets", "/proc/1/environ, and everybody's command line and environment",
        shell("cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null; true", env={"GIVEN": "x"}),
        must="nothing of the worker's", proof=_no_canary,
    ),
    Program(
        "secrets", "the Docker socket, or any socket", shell("find / -xdev -type s; ls /run/docker.sock /var/run/docker.sock"),
        "failed", "exit", 1, "there is none", _nothing("no socket file"),
    ),
    Program(
        "secrets", "/proc/kcore, memory and disks", shell(_KERNEL), must="empty or absent",
        proof=_nothing("nothing could be read"),
    ),
    Program(
        "secrets", "writes to /sys and /proc/sys", python(_SYS), must="no file is writable",
        proof=_nothing("no file below /sys or /proc/sys is writable"),
    ),
]  # fmt: skip
_LEAVES = """
    import ctypes
    for path in ("/tmp/left", "/dev/shm/left"):
        open(path, "w").write("left")
    libc = ctypes.CDLL(None, use_errno=True)
    print(libc.shmget(4711, 4096, 0o1666) >= 0)
    print(ctypes.CDLL("librt.so.1").mq_open(b"/left", 0o102, 0o666, None) >= 0)
"""


def _left(seen: Seen) -> str:
    assert seen.lines == ["True", "True"]
    return "written; the next task of the same user saw none of it"


def _alone(seen: Seen) -> str:
    assert int(seen.lines[0]) <= _OWN_PROCESSES
    return f"{seen.lines[0]} processes, all its own"


_OWN_PROCESSES = 4
LEAKS = [
    Program(
        "leaks", "leaves files in /tmp and /dev/shm, shared memory and a message queue", python(_LEAVES),
        must="absent in the next task", proof=_left,
    ),
    Program(
        "leaks", "looks for the processes of its neighbours", shell("ls -d /proc/[0-9]* | wc -l"), must="sees its own only",
        proof=_alone,
    ),
]  # fmt: skip
LOOK = "ls -A /tmp /dev/shm /dev/mqueue | grep -v :$ | grep .; tail -n +2 /proc/sysvipc/shm; true"
"""What the next task looks for; it prints nothing when nothing was left."""
