"""Checks each property of the isolation from inside: hostile little containers that report what they could do."""

import uuid
from collections.abc import Callable, Iterator, Mapping

from attrs import evolve, field, frozen

from orchestrator.cli.checks.finding import Finding, Unfit, look
from orchestrator.labels import TASK
from orchestrator.ports import ContainerPlan, ContainerState, Engine, Figure, Stream
from orchestrator.quantity import format_size
from orchestrator.request import Limits
from orchestrator.settings import Settings

_PATIENCE = 20
_GRACE = 0.5
_MEBI = 1 << 20
_OWN_FILES = {"/etc/resolv.conf", "/etc/hostname", "/etc/hosts", "/.dockerenv", "/sbin/docker-init", "/dev/init"}
_OWN_VARIABLES = {"PATH", "HOSTNAME", "HOME", "PWD", "OLDPWD", "SHLVL", "TERM", "LANG", "_"}
_REPORT = """
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
_EAT = "x=0123456789abcdef; while :; do x=$x$x; done"
_BREED = "for i in 1 2 3 4 5 6 7 8 9; do sleep 1 & done; wait"
_CLING = "trap '' TERM; while :; do :; done"


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


def check(engine: Engine, image: str, settings: Settings) -> Iterator[Finding]:
    """A finding for each property, from containers of ``image``, which has to have a shell."""
    probe = Probe(engine, image, settings)
    advice = f"name an image with a shell by --image; see what this says: docker run --rm {image} sh -c true"
    reports: list[Report] = []
    told = look("container", advice, lambda: _ask(probe, reports))
    yield told
    for name, todo, judge in _PROPERTIES if told.ok else ():
        yield look(name, todo, lambda judge=judge: judge(reports[0]))  # type: ignore[misc]
    for name, todo, run in _LIMITS if told.ok else ():
        yield look(name, todo, lambda run=run: run(probe))  # type: ignore[misc]


@frozen
class Probe:
    """Runs programs as tasks are run."""

    engine: Engine
    image: str
    settings: Settings

    def run(self, script: str, limits: Limits | None = None, stop_after: float | None = None) -> tuple[ContainerState, str]:
        """The state at the end and the output of a shell script. Raises TaskFailure, InfrastructureError."""
        plan = self._plan(script, limits or self.settings.rules.defaults)
        try:
            container = self.engine.create(plan).id
            chunks = self.engine.attach(container, None)
            self.engine.start(container)
            self.engine.wait(container, stop_after or _PATIENCE)
            self.engine.stop(container, _GRACE)
            output = b"".join(data for stream, data in chunks if stream in Stream)
            return self.engine.inspect(container), output.decode(errors="replace")
        finally:
            self.engine.remove(plan.name)

    def _plan(self, script: str, limits: Limits) -> ContainerPlan:
        name = f"orchestrator-doctor-{uuid.uuid4().hex[:8]}"
        return ContainerPlan(
            name=name,
            image=self.image,
            command=("sh", "-c", script),
            env={},
            working_dir=None,
            user=self.settings.default_user,
            network=False,
            stdin=None,
            files={"probe": b""},
            limits=limits,
            labels={TASK: name},
            runtime=self.settings.runtime or None,
        )


def read_report(output: str, limits: Limits) -> Report:
    """The report in a program's output. Raises Unfit when it was not written to its end."""
    lines: dict[str, list[str]] = {}
    for line in output.splitlines():
        kind, _, rest = line.partition(" ")
        lines.setdefault(kind, []).append(rest)
    if "end" not in lines:
        raise Unfit(f"the probe did not get to its end: {output.strip()[-200:] or 'it said nothing'}")
    return Report(lines, limits)


def _ask(probe: Probe, reports: list[Report]) -> str:
    state, output = probe.run(_REPORT)
    reports.append(read_report(output, probe.settings.rules.defaults))
    return f"ran in {probe.image} in {state.ran_for:.2f} s"


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


def _memory(probe: Probe) -> str:
    state, _ = probe.run(_EAT, evolve(probe.settings.rules.defaults, memory=16 * _MEBI))
    if not state.oom_killed:
        raise Unfit(f"a program of 16 MiB ended with {state.exit_code} and was not seen as out of memory")
    return "a program past its limit is killed, and seen as such"


def _processes(probe: Probe) -> str:
    _, output = probe.run(_BREED, evolve(probe.settings.rules.defaults, pids=4))
    if "fork" not in output:
        raise Unfit("a program with a limit of 4 made 9 processes")
    return "further ones are refused"


def _ending(probe: Probe) -> str:
    """A program that ignores TERM and is never idle; what it used is known where it is counted."""
    state, _ = probe.run(_CLING, evolve(probe.settings.rules.defaults, cpus=0.2), stop_after=1.0)
    if state.ran_for > 1 + _GRACE + _PATIENCE / 2:
        raise Unfit(f"a program that ignores TERM ran on for {state.ran_for:.1f} s")
    used = state.counted.figures.get(Figure.CPU_TIME) if state.counted else None
    if used is not None and used > 0.2 * state.ran_for + 0.2:
        raise Unfit(f"a program with 0.2 CPUs used {used:.2f} s of CPU in {state.ran_for:.2f} s")
    measured = "its CPU limit held" if used is not None else "its CPU use cannot be measured here"
    return f"what ignores TERM is killed; {measured}"


def _counted(probe: Probe) -> str:
    state, _ = probe.run("true")
    return f"exact, from {state.counted.source}" if state.counted else "from samples only: control groups cannot be read here"


_VIRTUAL = {"proc", "sysfs", "tmpfs", "devpts", "mqueue", "cgroup", "cgroup2", "devtmpfs"}
_ENGINE = (
    "use runc, or what RUNTIME names, with the engine's default seccomp profile and no privileged defaults: see docker info"
)
_CGROUPS = "boot with cgroup_enable=memory swapaccount=1, or use a host with cgroup v2"
_PROPERTIES: tuple[tuple[str, str, Callable[[Report], str]], ...] = (
    ("user", "set DEFAULT_USER to a uid:gid without 0", _user),
    ("privileges", _ENGINE, _privileges),
    ("files", _ENGINE, _files),
    ("scratch", _ENGINE, _scratch),
    ("kernel files", _ENGINE, _masked),
    ("network", "use an engine that honours disabled networks", _network),
    ("variables", "take them out of the image, or of the engine's proxy settings in ~/.docker/config.json", _variables),
    ("ulimits", _ENGINE, _ulimits),
)
_LIMITS: tuple[tuple[str, str, Callable[[Probe], str]], ...] = (
    ("memory limit", _CGROUPS, _memory),
    ("process limit", _CGROUPS, _processes),
    ("ending", _CGROUPS, _ending),
    ("figures", "nothing", _counted),
)
