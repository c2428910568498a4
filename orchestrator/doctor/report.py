"""The report of a program in a container on its surroundings, and a check of it for each property of the isolation."""

from collections.abc import Callable, Mapping

from attrs import field, frozen

from orchestrator.doctor.finding import Unfit
from orchestrator.task.limits import Limits
from orchestrator.task.units import format_size

_OWN_FILES = {"/etc/resolv.conf", "/etc/hostname", "/etc/hosts", "/.dockerenv", "/sbin/docker-init", "/dev/init"}
_OWN_VARIABLES = {"PATH", "HOSTNAME", "HOME", "PWD", "OLDPWD", "SHLVL", "TERM", "LANG", "_"}
SCRIPT = """
while read -r name value; do echo "status $name $value"; done < /proc/self/status
while read -r device place type options rest; do echo "mount $place $type $options"; done < /proc/mounts
while read -r interface rest; do echo "route $interface"; done < /proc/net/route
while read -r line; do echo "route ${line##* }"; done < /proc/net/ipv6_route
while read -r interface rest; do echo "interface ${interface%%:*}"; done < /proc/net/dev
while read -r place rest; do echo "swap $place"; done < /proc/swaps
for limit in /sys/fs/cgroup/memory.swap.max /sys/fs/cgroup/memory/memory.memsw.limit_in_bytes; do
  [ -r $limit ] && read -r value < $limit && echo "memory ${limit##*/} $value"
done
echo "pid $$"
read -r line < /proc/version && echo "kernel $line"
for limit in n c; do echo "ulimit $limit $(ulimit -H$limit)"; done
for place in / /etc /usr /proc/sys/kernel /sys /task; do
  ( echo x > "$place/orchestrator-probe" ) 2>/dev/null && echo "wrote $place"
done
( echo x > /tmp/orchestrator-probe ) 2>/dev/null && echo "scratch yes"
for socket in /var/run/docker.sock /run/docker.sock; do [ -e $socket ] && echo "socket $socket"; done
export -p | while read -r word rest; do echo "variable $rest"; done
echo "end yes"
"""


@frozen
class Report:
    """The report of a program in a container, by kind: the lines that begin with the word of the kind, without this word."""

    lines: Mapping[str, list[str]]
    limits: Limits = field(factory=Limits)
    host_kernel: str = ""
    """The version of the kernel of the engine's host, as the engine says; empty if unknown."""

    @property
    def has_own_kernel(self) -> bool:
        """Whether the container's system calls go to a kernel of its own, such as gVisor's, and not to that of the host."""
        return bool(self.host_kernel) and not any(self.host_kernel in line for line in self.of("kernel"))

    def of(self, kind: str) -> list[str]:
        """All lines of a kind."""
        return self.lines.get(kind, [])

    def value(self, kind: str, name: str) -> str:
        """The value of a name in a line of this kind. Raises Unfit if there is none."""
        for line in self.of(kind):
            key, _, value = line.partition(" ")
            if key.rstrip(":") == name:
                return value.strip()
        raise Unfit(f"{kind} {name} cannot be read in the container")


def read_report(output: str, limits: Limits, host_kernel: str = "") -> Report:
    """The report in a program's output. Raises Unfit if it is incomplete."""
    lines: dict[str, list[str]] = {}
    for line in output.splitlines():
        kind, _, rest = line.partition(" ")
        lines.setdefault(kind, []).append(rest)
    if "end" not in lines:
        raise Unfit(f"the probe did not get to its end: {output.strip()[-200:] or 'it said nothing'}")
    return Report(lines, limits, host_kernel)


def _user(report: Report) -> str:
    uid, gid = (report.value("status", name).split()[1] for name in ("Uid", "Gid"))
    if "0" in {uid, gid}:
        raise Unfit(f"runs as {uid}:{gid}")
    return f"{uid}:{gid}"


def _privileges(report: Report) -> str:
    """A filter of system calls, and that a program gains no rights, protect the host's kernel from calls."""
    wanted = {"CapEff": "0" * 16, "CapBnd": "0" * 16}
    if not report.has_own_kernel:
        wanted |= {"NoNewPrivs": "1", "Seccomp": "2"}
    wrong = [f"{name} {value}" for name in wanted if (value := report.value("status", name)) != wanted[name]]
    if wrong:
        raise Unfit(", ".join(wrong))
    if report.has_own_kernel:
        return "no capabilities; system calls go to a kernel of the container's own"
    return "no capabilities, no new privileges, seccomp filter"


def _init(report: Report) -> str:
    """The kernel ignores most signals to process 1 of a container, so the program must be another one."""
    if report.of("pid") in ([], ["1"]):
        raise Unfit("the program is process 1 of its container, so SIGTERM may not end it")
    return "process 1 is the engine's init program, not the task's"


def _files(report: Report) -> str:
    """Only the folders in memory are writable, and the only mounts from the host are those that the engine makes itself."""
    wrote = report.of("wrote")
    mounts = [line.split() for line in report.of("mount")]
    strange = [place for place, kind, *_ in mounts if kind not in _VIRTUAL and place not in {"/", "/task", *_OWN_FILES}]
    writable = [place for place, kind, options in mounts if kind not in _VIRTUAL and "ro" not in options.split(",")]
    if wrote or strange or writable or report.of("socket"):
        raise Unfit(f"can be written: {wrote + writable}; mounted: {strange + report.of('socket')}")
    return "root, /task, /proc/sys and /sys are read-only; nothing of the host is mounted"


def bounded(report: Report, place: str, most: int, *wanted: str) -> None:
    """Raise Unfit unless a folder is mounted with a limit of files, a limit of ``most`` bytes, and the options ``wanted``.

    A kernel of the container's own keeps files in the container's memory, which is limited, and needs no limit of their number.
    """
    options = next((line.split()[2].split(",") for line in report.of("mount") if line.split()[0] == place), [])
    values = dict(each.partition("=")[::2] for each in options)
    size, unit = values.get("size", "").removesuffix("k"), 10 if values.get("size", "").endswith("k") else 0
    needed = {*wanted} if report.has_own_kernel else {"nosuid", *wanted}
    is_counted = report.has_own_kernel or "nr_inodes" in values
    if not size.isdecimal() or int(size) << unit >= most + _PAGE or not is_counted or needed - {*options}:
        raise Unfit(f"{place} is mounted with {','.join(options) or 'nothing'}")


def has_room(report: Report, place: str, most: int) -> None:
    """Raise Unfit unless the file system of a folder has at most ``most`` bytes, and a limited number of files."""
    blocks, size, files = (
        int(word) if word.isdecimal() else 0 for word in (report.value("room", place) + " - - -").split()[:3]
    )
    if not 0 < blocks * size < most + _PAGE or not 0 < files <= most:
        raise Unfit(f"{place} has room for {blocks * size} bytes and {files} files")


def _scratch(report: Report) -> str:
    bounded(report, "/tmp", report.limits.tmp)  # noqa: S108
    bounded(report, "/dev/shm", report.limits.memory, "noexec")  # noqa: S108
    if not report.of("scratch"):
        raise Unfit("nothing can be written into it")
    files = "bytes; files are bounded by memory" if report.has_own_kernel else "bytes and files"
    return f"{format_size(report.limits.tmp)}, bounded in {files}, as is shared memory"


def _masked(report: Report) -> str:
    if report.has_own_kernel:
        return "those of a kernel of the container's own"
    masks = {place for place, *_ in (line.split() for line in report.of("mount"))}
    missing = {"/proc/sys", "/proc/bus"} - masks
    hidden = {"/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"} & masks
    if missing or not hidden:
        raise Unfit(f"not protected: {', '.join(sorted(missing)) or 'kernel memory, keys and firmware'}")
    return f"{', '.join(sorted(hidden))} are hidden"


def _network(report: Report) -> str:
    routes = sorted({*report.of("route")} - {"Iface", "lo"})
    interfaces = sorted({*report.of("interface")} - {"Inter-|", "face", "lo"} - _ASLEEP)
    if routes or interfaces:
        raise Unfit(f"there are routes over {', '.join(routes) or 'none'}, and the interfaces {', '.join(interfaces) or 'lo'}")
    return "none"


def _swap(report: Report) -> str:
    """Version 1 of control groups limits memory and swap together, version 2 limits swap separately."""
    limits = dict(line.split() for line in report.of("memory"))
    devices = sorted({*report.of("swap")} - {"Filename"})
    if not limits and devices:
        raise Unfit(f"no limit of swap can be read in the container, and the host swaps to {', '.join(devices)}")
    most = {"memory.swap.max": 0, "memory.memsw.limit_in_bytes": report.limits.memory}
    wide = [f"{name} is {value}" for name, value in limits.items() if not (value.isdecimal() and int(value) <= most[name])]
    if wide:
        raise Unfit(", ".join(wide))
    return "none" if limits else "none: the host has no swap"


def _variables(report: Report) -> str:
    names = {line.removeprefix("-x ").partition("=")[0] for line in report.of("variable")}
    if names - _OWN_VARIABLES:
        raise Unfit(f"set in the image or by the engine: {', '.join(sorted(names - _OWN_VARIABLES))}")
    return "nothing of the worker's"


def _ulimits(report: Report) -> str:
    files, core = (report.value("ulimit", name) for name in "nc")
    if core != "0" or files == "unlimited":
        raise Unfit(f"open files {files}, core {core}")
    return f"{files} open files, as the engine has it; no core files"


_PAGE = 1 << 16
"""Bytes of the largest pages of kernels, which round sizes up to their pages."""
_ASLEEP = {
    "tunl0", "gre0", "gretap0", "erspan0", "ip_vti0", "ip6_vti0", "sit0", "ip6tnl0", "ip6gre0",
}  # fmt: skip
"""The kernel makes these in each network namespace once their modules are loaded; they are down and have no address."""
_VIRTUAL = {"proc", "sysfs", "tmpfs", "devpts", "mqueue", "cgroup", "cgroup2", "devtmpfs"}
_ENGINE = (
    "use runc, or what RUNTIME names, with the engine's default seccomp profile and no privileged defaults: see docker info"
)
PROPERTIES: tuple[tuple[str, str, Callable[[Report], str]], ...] = (
    ("user", "set DEFAULT_USER to a uid:gid without 0", _user),
    ("privileges", _ENGINE, _privileges),
    ("init program", "install docker-init, or catatonit for Podman, on the engine's host", _init),
    ("files", _ENGINE, _files),
    ("scratch", _ENGINE, _scratch),
    ("kernel files", _ENGINE, _masked),
    ("network", "use an engine that honours disabled networks", _network),
    ("variables", "take them out of the image, or of the engine's proxy settings in ~/.docker/config.json", _variables),
    ("swap", "boot with swapaccount=1, use a host with cgroup v2, or run swapoff -a", _swap),
    ("ulimits", _ENGINE, _ulimits),
)
