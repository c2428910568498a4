"""What a program in a container reports of its surroundings, and what each property of the isolation asks of the report."""

from collections.abc import Callable, Mapping

from attrs import field, frozen

from orchestrator.cli.checks.finding import Unfit
from orchestrator.quantity import format_size
from orchestrator.request import Limits

_OWN_FILES = {"/etc/resolv.conf", "/etc/hostname", "/etc/hosts", "/.dockerenv", "/sbin/docker-init", "/dev/init"}
_OWN_VARIABLES = {"PATH", "HOSTNAME", "HOME", "PWD", "OLDPWD", "SHLVL", "TERM", "LANG", "_"}
SCRIPT = """
while read -r name value; do echo "status $name $value"; done < /proc/self/status
while read -r device place type options rest; do echo "mount $place $type $options"; done < /proc/mounts
while read -r interface rest; do echo "route $interface"; done < /proc/net/route
for limit in n c f; do echo "ulimit $limit $(ulimit -H$limit)"; done
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
    """What a program in a container found, by kind: the rests of the lines that began with the word."""

    lines: Mapping[str, list[str]]
    limits: Limits = field(factory=Limits)

    def of(self, kind: str) -> list[str]:
        """All lines of a kind."""
        return self.lines.get(kind, [])

    def value(self, kind: str, name: str) -> str:
        """What the line of a kind says of a name. Raises Unfit when it does not."""
        for line in self.of(kind):
            key, _, value = line.partition(" ")
            if key.rstrip(":") == name:
                return value.strip()
        raise Unfit(f"{kind} {name} cannot be read in the container")


def read_report(output: str, limits: Limits) -> Report:
    """The report in a program's output. Raises Unfit when it was not written to its end."""
    lines: dict[str, list[str]] = {}
    for line in output.splitlines():
        kind, _, rest = line.partition(" ")
        lines.setdefault(kind, []).append(rest)
    if "end" not in lines:
        raise Unfit(f"the probe did not get to its end: {output.strip()[-200:] or 'it said nothing'}")
    return Report(lines, limits)


def _user(report: Report) -> str:
    uid, gid = (report.value("status", name).split()[1] for name in ("Uid", "Gid"))
    if "0" in {uid, gid}:
        raise Unfit(f"runs as {uid}:{gid}")
    return f"{uid}:{gid}"


def _privileges(report: Report) -> str:
    wanted = {"CapEff": "0" * 16, "CapBnd": "0" * 16, "NoNewPrivs": "1", "Seccomp": "2"}
    wrong = [f"{name} {value}" for name in wanted if (value := report.value("status", name)) != wanted[name]]
    if wrong:
        raise Unfit(", ".join(wrong))
    return "no capabilities, no new privileges, seccomp filter"


def _files(report: Report) -> str:
    """Nothing can be written but the folders in memory, and nothing of the host is mounted but what the engine makes itself."""
    wrote = report.of("wrote")
    mounts = [line.split() for line in report.of("mount")]
    strange = [place for place, kind, *_ in mounts if kind not in _VIRTUAL and place not in {"/", "/task", *_OWN_FILES}]
    writable = [place for place, kind, options in mounts if kind not in _VIRTUAL and "ro" not in options.split(",")]
    if wrote or strange or writable or report.of("socket"):
        raise Unfit(f"can be written: {wrote + writable}; mounted: {strange + report.of('socket')}")
    return "root, /task, /proc/sys and /sys are read-only; nothing of the host is mounted"


def _scratch(report: Report) -> str:
    mounts = {place: options.split(",") for place, _, options in (line.split() for line in report.of("mount"))}
    for place, noexec in (("/tmp", False), ("/dev/shm", True)):  # noqa: S108
        options = mounts.get(place, [])
        bounded = any(each.startswith("size=") for each in options) and any(each.startswith("nr_inodes=") for each in options)
        if not bounded or "nosuid" not in options or (noexec and "noexec" not in options):
            raise Unfit(f"{place} is mounted with {','.join(options) or 'nothing'}")
    if not report.of("scratch"):
        raise Unfit("nothing can be written into it")
    return f"{format_size(report.limits.tmp)}, bounded in bytes and files, as is shared memory"


def _masked(report: Report) -> str:
    masks = {place for place, *_ in (line.split() for line in report.of("mount"))}
    missing = {"/proc/sys", "/proc/bus"} - masks
    hidden = {"/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"} & masks
    if missing or not hidden:
        raise Unfit(f"not protected: {', '.join(sorted(missing)) or 'kernel memory, keys and firmware'}")
    return f"{', '.join(sorted(hidden))} are hidden"


def _network(report: Report) -> str:
    interfaces = sorted(set(report.of("route")) - {"Iface", "lo"})
    if interfaces:
        raise Unfit(f"there are routes over {', '.join(interfaces)}")
    return "none"


def _variables(report: Report) -> str:
    names = {line.removeprefix("-x ").partition("=")[0] for line in report.of("variable")}
    if names - _OWN_VARIABLES:
        raise Unfit(f"set in the image or by the engine: {', '.join(sorted(names - _OWN_VARIABLES))}")
    return "nothing of the worker's"


def _ulimits(report: Report) -> str:
    files, core, largest = (report.value("ulimit", name) for name in "ncf")
    if core != "0" or "unlimited" in {files, largest}:
        raise Unfit(f"open files {files}, core {core}, file size {largest}")
    return f"{files} open files, no core files, bounded file size"


_VIRTUAL = {"proc", "sysfs", "tmpfs", "devpts", "mqueue", "cgroup", "cgroup2", "devtmpfs"}
_ENGINE = (
    "use runc, or what RUNTIME names, with the engine's default seccomp profile and no privileged defaults: see docker info"
)
PROPERTIES: tuple[tuple[str, str, Callable[[Report], str]], ...] = (
    ("user", "set DEFAULT_USER to a uid:gid without 0", _user),
    ("privileges", _ENGINE, _privileges),
    ("files", _ENGINE, _files),
    ("scratch", _ENGINE, _scratch),
    ("kernel files", _ENGINE, _masked),
    ("network", "use an engine that honours disabled networks", _network),
    ("variables", "take them out of the image, or of the engine's proxy settings in ~/.docker/config.json", _variables),
    ("ulimits", _ENGINE, _ulimits),
)
