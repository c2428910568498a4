"""Checks each property of the isolation from inside, with small hostile containers that report what they could do."""

import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import ceil
from typing import Any

from attrs import evolve, frozen

from orchestrator.doctor.finding import Finding, Unfit, look
from orchestrator.doctor.report import PROPERTIES, SCRIPT, Report, bounded, has_room, read_report
from orchestrator.errors import InfrastructureError
from orchestrator.ports import ContainerPlan, ContainerProbe, ContainerState, Counters, Engine, Figure, Stream
from orchestrator.settings.settings import Settings
from orchestrator.task.labels import ATTEMPT, DEPLOYMENT, TASK
from orchestrator.task.limits import Limits
from orchestrator.task.units import format_size

Made = Mapping[str, Any]
"""The engine's HostConfig of a container."""
_PROBES = "doctor"
_LEFT = 600.0
"""Seconds after which a probe counts as left behind by an interrupted doctor."""
_PATIENCE, _GRACE, _MOMENT = 20.0, 0.5, 1.0
"""Seconds on a usual machine: until a probe is ended, from TERM to KILL, and until a program has certainly begun."""
_FIRST = 300.0
"""Seconds until the first probe is ended, because until then the speed of the machine is unknown."""
_USUAL = 1.0
"""The longest time of the first probe on a usual machine, in seconds."""
_MEBI = 1 << 20
_SMALL = 32 * _MEBI
"""Memory with which any engine starts a container."""
_EAT = "x=0123456789abcdef; while [ ${#x} -lt 67108864 ]; do x=$x$x; done"
_BREED = "for i in 1 2 3 4 5 6 7 8 9; do sleep 60 & done"
_KEEP = """
while read -r device place type options rest; do echo "mount $place $type $options"; done < /proc/mounts
read -r line < /proc/version && echo "kernel $line"
echo "room /out $(stat -f -c '%b %S %c' /out)"
echo orchestrator-kept > /out/probe
echo "end yes"
"""
_KEPT = b"orchestrator-kept"
_FILL = "cat /dev/zero >/tmp/x"
_CLING = "trap '' TERM; while :; do :; done"


def check(
    engine: Engine, image: str, settings: Settings, describe: Callable[[str], Made], host_kernel: str = ""
) -> Iterator[Finding]:
    """A finding for each property, from containers of ``image``, which must have a shell.

    ``host_kernel`` is the version of the kernel of the engine's host, by which a container's own kernel is known.
    """
    probe = Probe(engine, image, settings, describe, _FIRST / _PATIENCE, host_kernel)
    advice = f"name an image with a shell by --image; see what this says: docker run --rm {image} sh -c true"
    reports: list[Report] = []
    began = time.monotonic()
    told = look("container", advice, lambda: _ask(probe, reports))
    probe = evolve(probe, slowness=max((time.monotonic() - began) / _USUAL, 1.0))
    yield told
    if not told.ok:
        return
    for name, todo, judge in PROPERTIES:
        yield look(name, todo, lambda judge=judge: judge(reports[0]))  # type: ignore[misc]
    for name, todo, run in _LIMITS:
        yield look(name, todo, lambda run=run: run(probe))  # type: ignore[misc]


@frozen
class Probe:
    """Runs programs in the same way as tasks. ``describe`` returns the engine's own description of a container, by its id.

    ``slowness`` is how many times slower than usual the machine is. No finding may depend on it, so all waits are multiplied by
    it.
    """

    engine: Engine
    image: str
    settings: Settings
    describe: Callable[[str], Made]
    slowness: float = 1.0
    host_kernel: str = ""

    def run(self, script: str, limits: Limits | None = None, stop_after: float | None = None) -> tuple[ContainerState, str]:
        """The state at the end and the output of a shell script. Raises TaskFailure, InfrastructureError."""
        with self._made(self._plan(script, limits or self.settings.rules.defaults)) as container:
            return self._run(container, stop_after or _PATIENCE * self.slowness)

    def run_with_out(self, script: str) -> tuple[str, bytes]:
        """The output of a shell script that has /out, and the archive of its files there."""
        plan = evolve(self._plan(script, self.settings.rules.defaults), out=True)
        with self._made(plan) as container:
            _, output = self._run(container, _PATIENCE * self.slowness)
            return output, b"".join(self.engine.archive(plan.name))

    def seen(self) -> tuple[Counters | None, str, Sequence[str]]:
        """The counts for a program that fills its /tmp, the reason for missing counts, and the folders known to be full."""
        plan = self._plan(f"{_FILL}; sleep {ceil(self.slowness)}", evolve(self.settings.rules.defaults, tmp=_MEBI))
        with self._made(plan) as container:
            probe = self.engine.start(container)
            counted = probe.counted()
            self.engine.wait(container, _PATIENCE * self.slowness)
            self.engine.stop(container, 0)
            ended = self.engine.inspect(container)
            return ended.counted or counted, ended.uncounted, probe.close()

    def made(self) -> Made:
        """The engine's description of a container that is never started."""
        with self._made(self._plan("true", self.settings.rules.defaults)) as container:
            return self.describe(container)

    @contextmanager
    def _made(self, plan: ContainerPlan) -> Iterator[str]:
        try:
            yield self.engine.create(plan).id
        finally:
            self.engine.remove(plan.name, _PROBES)

    def _run(self, container: str, stop_after: float) -> tuple[ContainerState, str]:
        chunks = self.engine.attach(container, None)
        watch = self.engine.start(container)
        before = self.engine.wait(container, stop_after)
        self.engine.stop(container, _GRACE * self.slowness)
        output = b"".join(data for stream, data in chunks if stream in Stream)
        ended = _with_earlier(self.engine.inspect(container), before)
        told = output.decode(errors="replace")
        if self.saw_kill(watch):
            return evolve(ended, oom_killed=True), told
        return ended, told

    @staticmethod
    def saw_kill(watch: ContainerProbe) -> bool:
        """Whether the kernel told this process of a kill for memory. An engine does not learn of each."""
        counted = watch.counted()
        watch.close()
        return bool(counted and counted.figures.get(Figure.OOM_KILLS))

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
            labels={TASK: name, ATTEMPT: "1", DEPLOYMENT: _PROBES},
            runtime=self.settings.runtime or None,
        )


def _with_earlier(ended: ContainerState, before: ContainerState) -> ContainerState:
    """The state at the end, with the figures that only a running container has."""
    if not ended.counted or not before.counted:
        return ended
    return evolve(ended, counted=evolve(ended.counted, figures={**before.counted.figures, **ended.counted.figures}))


def _ask(probe: Probe, reports: list[Report]) -> str:
    for left in probe.engine.owned(_PROBES):
        if left.age > _LEFT:
            probe.engine.remove(left.name, _PROBES)
    state, output = probe.run(SCRIPT)
    reports.append(read_report(output, probe.settings.rules.defaults, probe.host_kernel))
    return f"ran in {probe.image} in {state.ran_for:.2f} s"


def _memory(probe: Probe) -> str:
    state, _ = probe.run(_EAT, evolve(probe.settings.rules.defaults, memory=_SMALL))
    kills = state.counted.figures.get(Figure.OOM_KILLS) if state.counted else None
    if not kills and not state.oom_killed:
        raise Unfit(f"a program of {format_size(_SMALL)} ended with {state.exit_code} and was not seen as out of memory")
    return "a program past its limit is killed, and seen as such"


def _processes(probe: Probe) -> str:
    try:
        _, output = probe.run(_BREED, evolve(probe.settings.rules.defaults, pids=4))
    except InfrastructureError as error:
        raise Unfit(f"no program starts with a limit of 4, perhaps because those of the runtime count: {error}") from error
    if "fork" not in output:
        raise Unfit("a program with a limit of 4 made 9 processes")
    return "further ones are refused"


def _ending(probe: Probe) -> str:
    """A program that ignores TERM and is never idle. Its CPU use is known if it is counted."""
    state, _ = probe.run(_CLING, evolve(probe.settings.rules.defaults, cpus=0.2), _MOMENT * probe.slowness)
    if state.ran_for > (_MOMENT + _GRACE + _PATIENCE / 2) * probe.slowness:
        raise Unfit(f"a program that ignores TERM ran on for {state.ran_for:.1f} s")
    figures = state.counted.figures if state.counted else {}
    if figures.get(Figure.THROTTLED) == 0:
        raise Unfit("a program with 0.2 CPUs that is never idle was not held up")
    used = figures.get(Figure.CPU_TIME)
    if used is not None and used > 0.2 * (state.ran_for + probe.slowness):
        raise Unfit(f"a program with 0.2 CPUs used {used:.2f} s of CPU in {state.ran_for:.2f} s")
    measured = "its CPU limit held" if used is not None else "its CPU use cannot be measured here"
    return f"what ignores TERM is killed; {measured}"


def _out(probe: Probe) -> str:
    output, archive = probe.run_with_out(_KEEP)
    most = probe.settings.rules.defaults.artifacts
    report = read_report(output, probe.settings.rules.defaults, probe.host_kernel)
    if report.has_own_kernel:  # it shows a folder of the host without the options of its mount
        has_room(report, "/out", most)
    else:
        bounded(report, "/out", most)
    if _KEPT not in archive:
        raise Unfit("what a program left in /out was gone when it had ended")
    return f"{format_size(most)}, bounded in bytes and files; what is left in it can be read when its program has ended"


def _log(probe: Probe) -> str:
    log = probe.made()["LogConfig"]
    size, files = ((log["Config"] or {}).get(name) for name in ("max-size", "max-file"))
    if log["Type"] != "local" or not size or not files:
        raise Unfit(f"the engine's log of a container is of type {log['Type']}, with {log['Config'] or 'no bound'}")
    return f"{files} files of {size} bytes at most"


def _apart(probe: Probe) -> str:
    made = probe.made()
    if (made["IpcMode"], made["PidMode"]) != ("private", ""):
        raise Unfit(f"IPC is {made['IpcMode'] or 'of no mode'}, processes are {made['PidMode'] or 'private'}")
    return "shared memory, queues and processes are each container's own"


def _counted(probe: Probe) -> str:
    counted, uncounted, full = probe.seen()
    figures = f"from {counted.source}" if counted else "from samples only"
    lacks = [f"no {figure}: {why}" for figure, why in (counted.missing if counted else {}).items()]
    return "; ".join([figures, *filter(None, [uncounted]), *lacks, f"full folders are {'' if full else 'not '}told"])


_CGROUPS = "boot with cgroup_enable=memory swapaccount=1, or use a host with cgroup v2"
_LIMITS: tuple[tuple[str, str, Callable[[Probe], str]], ...] = (
    ("memory limit", _CGROUPS, _memory),
    ("process limit", _CGROUPS, _processes),
    ("ending", _CGROUPS, _ending),
    ("artifacts", "use an engine whose volumes can be a tmpfs, or run no tasks with artifacts", _out),
    ("engine's log", "use an engine with the log driver local", _log),
    ("namespaces", "use an engine that gives each container an IPC and a PID namespace", _apart),
    ("figures", "nothing", _counted),
)
