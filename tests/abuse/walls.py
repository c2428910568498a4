"""Hostile programs that want out: by the network, or by privileges."""

from tests.support import pace
from tests.support.abuse_program import Program, Seen, python, shell


def _fails_fast(seen: Seen) -> str:
    what, seconds = seen.lines[0].rsplit(" ", 1)
    assert what in _UNREACHABLE
    assert float(seconds) < pace.seconds(1)
    return f"{what} after {seconds} s"


_UNREACHABLE = {"ENETUNREACH", "EAI_AGAIN", "EAI_NONAME", "EADDRNOTAVAIL", "ECONNREFUSED", "EAFNOSUPPORT"}


def _network(does: str, attempt: str) -> Program:
    script = f"""
        import errno, socket, time
        names = {{getattr(socket, name): name for name in dir(socket) if name.startswith("EAI_")}}
        began = time.monotonic()
        try:
            {attempt}
            print("reached", 0)
        except OSError as error:
            kinds = names if isinstance(error, socket.gaierror) else errno.errorcode
            print(kinds.get(error.errno, error), round(time.monotonic() - began, 2))
        """
    return Program("network", does, python(script, timeout=10), must="fails within 1 s", proof=_fails_fast)


def _no_interface(seen: Seen) -> str:
    assert seen.lines == ["lo", "0"]
    return "only lo, no route, no abstract socket of the host"


NETWORK = [
    _network("DNS", "socket.getaddrinfo('example.com', 443)"),
    _network("TCP to a public address", "socket.create_connection(('1.1.1.1', 443), 5)"),
    _network("TCP to a private address", "socket.create_connection(('10.0.0.1', 80), 5)"),
    _network("TCP to the engine's bridge", "socket.create_connection(('172.17.0.1', 22), 5)"),
    _network("TCP to 169.254.169.254", "socket.create_connection(('169.254.169.254', 80), 5)"),
    _network("IPv6", "socket.create_connection(('2606:4700:4700::1111', 443), 5)"),
    _network("UDP", "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('9.9.9.9', 53))"),
    _network("the host's loopback, port 22", "socket.create_connection(('127.0.0.1', 22), 5)"),
    Program(
        "network", "looks for interfaces, routes and abstract sockets",
        shell("ls /sys/class/net; cat /proc/net/route | tail -n +2; grep -c @ /proc/net/unix"), "failed", "exit", 1,
        "there are none", _no_interface,
    ),
]  # fmt: skip
_CALLS = """
    import ctypes, errno, platform
    libc = ctypes.CDLL(None, use_errno=True)
    x86 = platform.machine() == "x86_64"
    numbers = {  # x86-64, arm64
        "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51), "unshare": (272, 97),
        "setns": (308, 268), "ptrace": (101, 117), "process_vm_readv": (310, 270), "keyctl": (250, 219), "add_key": (248, 217),
        "request_key": (249, 218), "bpf": (321, 280), "perf_event_open": (298, 241), "init_module": (175, 105),
        "finit_module": (313, 273), "kexec_load": (246, 104), "reboot": (169, 142), "swapon": (167, 224),
        "settimeofday": (164, 170), "open_by_handle_at": (304, 265), "userfaultfd": (323, 282), "acct": (163, 89),
        "setuid": (105, 146), "setgid": (106, 144), "setgroups": (116, 159), "sethostname": (170, 161),
        "quotactl": (179, 60), "syslog": (103, 116), "kcmp": (312, 272), "fsopen": (430, 430), "move_mount": (429, 429),
    }
    def call(name, *arguments):
        ctypes.set_errno(0)
        result = libc.syscall(ctypes.c_long(numbers[name][0 if x86 else 1]), *map(ctypes.c_long, arguments))
        print(name, errno.errorcode.get(ctypes.get_errno(), "?") if result == -1 else "DONE")
"""
_REFUSALS = {"EPERM", "ENOSYS", "EACCES"}


def _refused(seen: Seen) -> str:
    answers = [line.rsplit(" ", 1)[1] for line in seen.lines]  # of calls of one name, too
    assert answers
    assert {*answers} <= _REFUSALS, seen.lines
    return ", ".join(seen.lines)


def _calls(does: str, *calls: str) -> Program:
    script = _CALLS + "".join(f"    call({each})\n" for each in calls)
    return Program("privilege", does, python(script), must="refused", proof=_refused)


def _status(seen: Seen) -> str:
    none = "0000000000000000"
    assert dict(line.split(":\t", 1) for line in seen.lines[:-1]) == {
        "CapInh": none, "CapPrm": none, "CapEff": none, "CapBnd": none, "CapAmb": none, "NoNewPrivs": "1", "Seccomp": "2",
    }  # fmt: skip
    assert seen.lines[-1] == "65534"
    return "every capability set 0, NoNewPrivs 1, Seccomp 2, uid 65534"


def _no_root(seen: Seen) -> str:
    assert seen.lines == ["True", "65534 65534 65534 65534"]
    return "su is setuid root there, and runs with uid 65534"


def _no_gain(seen: Seen) -> str:
    assert seen.lines[-1] == "CapEff:\t0000000000000000"
    return f"PID 1 is the container's own init, of the same user and without a capability ({seen.lines[0]})"


_SETUID = """
    import os, re, stat, subprocess
    print(bool(os.stat("/usr/bin/su").st_mode & stat.S_ISUID))
    su = subprocess.Popen(["/usr/bin/su"], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
    while "su" not in open(f"/proc/{su.pid}/comm").read():
        pass
    print(*re.search(r"Uid:(.*)", open(f"/proc/{su.pid}/status").read())[1].split())
"""
_PTRACE = """
    import ctypes
    libc = ctypes.CDLL(None)
    print("attach", libc.ptrace(16, 1, 0, 0))
    libc.waitpid(1, 0, 0x40000000)
    libc.ptrace(17, 1, 0, 0)
    print(next(line for line in open("/proc/1/status") if line.startswith("CapEff")), end="")
"""
_SOCKETS = """
    import errno, socket
    kinds = {"raw": (socket.AF_INET, socket.SOCK_RAW, 1), "packet": (socket.AF_PACKET, socket.SOCK_RAW, 0)}
    for name, kind in kinds.items():
        try:
            socket.socket(*kind)
            print(name, "DONE")
        except OSError as error:
            print(name, errno.errorcode[error.errno])
"""
_FILES = """
    import errno, os
    tries = {
        "mknod": lambda: os.mknod("/tmp/disk", 0o60666, os.makedev(8, 0)),
        "chown": lambda: (open("/tmp/mine", "w").close(), os.chown("/tmp/mine", 0, 0)),
        "nice": lambda: os.nice(-5),
        "realtime": lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)),
        "oom_score_adj": lambda: os.write(os.open("/proc/self/oom_score_adj", os.O_WRONLY), b"-1000"),
    }
    for name, attempt in tries.items():
        try:
            attempt()
            print(name, "DONE")
        except OSError as error:
            print(name, errno.errorcode[error.errno])
"""
PRIVILEGE = [
    Program(
        "privilege", "looks at its own rights",
        shell("grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status; id -u"), must="no right at all", proof=_status,
    ),
    _calls("mount", "'mount', 0, 0, 0, 0, 0", "'umount2', 0, 0", "'fsopen', 0, 0", "'move_mount', 0, 0, 0, 0, 0",
           "'pivot_root', 0, 0", "'chroot', 0"),
    _calls("unshare and setns", "'unshare', 0x10000000", "'unshare', 0x40000000", "'unshare', 0x00020000", "'setns', 0, 0"),
    Program("privilege", "ptrace of PID 1", python(_PTRACE), must="no gain", proof=_no_gain),
    Program(
        "privilege", "stops its own init by ptrace", python("import ctypes; ctypes.CDLL(None).ptrace(16, 1, 0, 0)", timeout=2),
        "timed_out", "timeout", 137, "ended all the same",
    ),
    Program("privilege", "a setuid binary", python(_SETUID), must="no gain", proof=_no_root),
    Program("privilege", "raw and packet sockets", python(_SOCKETS), must="refused", proof=_refused),
    _calls("keyctl", "'keyctl', 0, -3, 1", "'add_key', 0, 0, 0, 0, 0", "'request_key', 0, 0, 0, 0"),
    _calls("becomes root", "'setuid', 0", "'setgid', 0", "'setgroups', 0, 0"),
    _calls("the kernel's back doors", "'bpf', 0, 0, 0", "'perf_event_open', 0, 0, 0, 0, 0", "'init_module', 0, 0, 0",
           "'finit_module', 0, 0, 0", "'kexec_load', 0, 0, 0, 0", "'reboot', 0, 0, 0, 0", "'swapon', 0, 0", "'acct', 0",
           "'settimeofday', 0, 0", "'open_by_handle_at', 0, 0, 0", "'userfaultfd', 0", "'sethostname', 0, 0",
           "'quotactl', 0, 0, 0, 0", "'syslog', 3, 0, 0", "'kcmp', 1, 1, 0, 0, 0"),
    Program("privilege", "device nodes, owners, priorities", python(_FILES), must="refused", proof=_refused),
]  # fmt: skip
