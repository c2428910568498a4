"""Slices of systemd above the containers: what they count stays exact, and none is left, whatever happens meanwhile."""

import multiprocessing
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.adapters.docker.cgroup_parents import Slices, SlotSlices
from orchestrator.adapters.docker.engine import DockerEngine
from orchestrator.adapters.docker.systemd_units import Units, folder
from orchestrator.cause import Cause
from orchestrator.errors import InfrastructureError
from orchestrator.outcome.usage import PeakCounters
from orchestrator.outcome.verdict import Facts, verdict
from orchestrator.ports import ContainerPlan, Figure, Phase
from orchestrator.task.limits import Limits
from tests.hosts.conftest import TOP, in_container
from tests.support.containers import OURS, PATIENCE, WHERE, Bench

MEBI = 1 << 20
EATS = "x=$(head -c 20000000 /dev/zero | tr '\\0' a); unset x; exit 3"
NOBODY = 65534
EXACT = {Figure.CPU_TIME, Figure.MEMORY_PEAK, Figure.OOM_KILLS, Figure.PIDS_PEAK}


def _units(systemctl: Callable[..., str], pattern: str = "orchestrator-*.slice") -> list[str]:
    lines = systemctl("list-units", "--all", "--plain", "--no-legend", "--no-pager", "--full", pattern).splitlines()
    return [line.split()[0] for line in lines]


def test_figures_are_exact_after_the_end_and_after_the_removal(docker: Bench) -> None:
    """However short the program; the slice goes when the container's removal is asked for."""
    plan = docker.plan(EATS)
    ran = docker.run_plan(plan)
    assert ran.state.counted
    assert ran.state.counted.source == "cgroup v2"
    assert ran.state.counted.figures.keys() >= EXACT
    assert 20 * MEBI < ran.state.counted.figures[Figure.MEMORY_PEAK] < 200 * MEBI
    assert ran.state.counted.figures[Figure.OOM_KILLS] == 0


def test_nothing_of_a_container_is_left(docker: Bench, systemctl: Callable[..., str]) -> None:
    """Neither a unit nor a folder."""
    plan = docker.plan("true")
    docker.run_plan(plan)
    (unit,) = _units(systemctl)
    assert (TOP / unit).is_dir()
    docker.remove(plan)
    assert (_units(systemctl), (TOP / unit).exists()) == ([], False)


def test_the_start_of_a_container_is_in_the_figures(docker: Bench, record_property: Callable[[str, object], None]) -> None:
    """What it costs on this machine is noted beside the result."""
    counted = docker.run("true").state.counted
    assert counted
    for figure in (Figure.CPU_TIME, Figure.MEMORY_PEAK, Figure.PIDS_PEAK):
        record_property(f"host: `true` and its start: {figure.value}", f"{counted.figures[figure]:g}")
        assert counted.figures[figure] > 0


@pytest.mark.parametrize("interruption", ["daemon-reload", "daemon-reexec"])
def test_systemd_may_reload_in_the_middle(docker: Bench, systemctl: Callable[..., str], interruption: str) -> None:
    """It changes no figure and no verdict."""
    plan = docker.plan(f"sleep 5; {EATS}")
    container = docker.engine.create(plan).id
    docker.engine.start(container)
    systemctl(interruption)
    state = docker.engine.wait(container, PATIENCE)
    systemctl(interruption)
    assert state.counted
    assert (state.exit_code, state.counted.figures.keys() >= EXACT) == (3, True)
    assert state.counted.figures[Figure.MEMORY_PEAK] > 20 * MEBI
    assert docker.engine.inspect(container).counted == state.counted
    docker.remove(plan)
    assert _units(systemctl) == []


def test_the_engine_may_restart_in_the_middle(docker: Bench, configured: Callable[[str | None], None]) -> None:
    """With live-restore the program goes on, and its figures are those of its whole run."""
    configured('{"live-restore": true}')
    container = docker.start(f"{EATS.replace('exit 3', 'sleep 10')}; exit 3")
    configured('{"live-restore": true}')
    state = docker.engine.wait(container, PATIENCE)
    assert (state.phase, state.exit_code) == (Phase.EXITED, 3)
    assert state.counted
    assert state.counted.figures[Figure.MEMORY_PEAK] > 20 * MEBI


def test_a_slice_that_still_holds_a_container_is_not_stopped(docker: Bench) -> None:
    """To stop it would end the program."""
    container = docker.start("exec sleep 1000")
    slices = docker.engine._groups.parents
    assert isinstance(slices, Slices)
    assert not slices.drop(docker.names[-1], OURS)
    assert docker.engine.inspect(container).phase is Phase.RUNNING


def test_while_the_bus_is_away_a_removal_is_not_done(docker: Bench, systemctl: Callable[..., str]) -> None:
    """It is an error, so that the task is not settled; a later one finishes it. Another deployment's slice is never stopped."""
    plan, other = docker.plan("true"), docker.plan("true")
    docker.run_plan(plan)
    docker.run_plan(other)
    slices = docker.engine._groups.parents
    assert isinstance(slices, Slices)
    there = slices.units
    object.__setattr__(slices, "units", Units("unix:path=/run/nothing-listens-here"))
    with pytest.raises(InfrastructureError, match="the system bus does not answer"):
        docker.remove(plan)
    assert plan.name in [name for name, _ in slices.left(OURS)]
    object.__setattr__(slices, "units", there)
    docker.engine.remove(plan.name, "elsewhere")
    assert plan.name in [name for name, _ in slices.left(OURS)]
    docker.remove(plan)
    assert [name for name, _ in slices.left(OURS)] == [other.name]
    assert len(_units(systemctl)) == 1


def test_the_engines_own_parent_is_respected(configured: Callable[[str | None], None]) -> None:
    """The slices of tasks are inside it."""
    configured('{"cgroup-parent": "tenant.slice"}')
    engine = DockerEngine(WHERE)
    bench = Bench(engine)
    try:
        counted = bench.run(EATS).state.counted
        assert counted
        assert counted.figures[Figure.MEMORY_PEAK] > 20 * MEBI
        assert [*Path("/sys/fs/cgroup/tenant.slice/tenant-orchestrator.slice").glob("tenant-orchestrator-*.slice")]
    finally:
        bench.clear()
        engine.close()
    assert not [*Path("/sys/fs/cgroup/tenant.slice/tenant-orchestrator.slice").glob("tenant-orchestrator-*.slice")]


def test_a_kill_at_the_limit_of_all_tasks_is_not_the_tasks_own(docker: Bench, systemctl: Callable[..., str]) -> None:
    """The kernel counts it as a kill, but not as one at the task's limit."""
    docker.run("true")  # the slice of all is there
    systemctl("set-property", "--runtime", "orchestrator.slice", "MemoryMax=48M")
    try:
        limits = Limits(memory=256 * MEBI)
        state = docker.run("exec tail /dev/zero", limits=limits).state
        counted = state.counted
        assert counted
        assert (counted.figures[Figure.OOM_KILLS], counted.figures[Figure.MEMORY_REFUSED]) == (1, 0)
        tally = PeakCounters()
        tally.add(counted)
        outcome = verdict(Facts(state, limits, tally=tally))
        assert (outcome.cause, outcome.evidence["ended_by"]) == (Cause.SIGNAL, "kernel")
        assert "the group of all tasks, was out of memory" in outcome.message
        assert docker.engine._groups._cgroups.limits("orchestrator.slice") == {"memory.max": str(48 * MEBI)}
    finally:
        systemctl("set-property", "--runtime", "orchestrator.slice", "MemoryMax=infinity")


def _as_nobody(plans: list[ContainerPlan], result: "multiprocessing.Queue[object]") -> None:
    os.setgroups([Path(WHERE.removeprefix("unix://")).stat().st_gid])
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    engine = DockerEngine(WHERE)
    bench = Bench(engine)
    counted = []
    for plan in plans:
        ran = bench.run_plan(plan)
        counted.append(dict(ran.state.counted.figures) if ran.state.counted else None)
        bench.owners[plan.name] = OURS
        bench.remove(plan)
    result.put((type(engine._groups.parents).__name__, engine._groups.reason, counted))
    engine.close()


def test_a_worker_that_may_not_stop_slices_uses_one_again(docker: Bench, systemctl: Callable[..., str]) -> None:
    """CPU time and kills are exact, a peak is when it is the highest of its slice. As many stay as were needed at once."""
    scripts = ["true", EATS, "true", "tail /dev/zero"]
    plans = [docker.plan(script, limits=Limits(memory=64 * MEBI)) for script in scripts]
    context = multiprocessing.get_context("fork")
    result: multiprocessing.Queue[object] = context.Queue()
    process = context.Process(target=_as_nobody, args=(plans, result))
    process.start()
    way, reason, counted = result.get(timeout=PATIENCE)  # type: ignore[misc]
    process.join(PATIENCE)
    assert (way, process.exitcode) == (SlotSlices.__name__, 0)
    assert "systemd does not let this process stop slices" in reason
    first, eats, again, _ = counted
    assert first[Figure.MEMORY_PEAK] < 20 * MEBI < eats[Figure.MEMORY_PEAK] < 64 * MEBI
    assert Figure.MEMORY_PEAK not in again
    assert [each[Figure.OOM_KILLS] for each in counted] == [0, 0, 0, 1]
    assert all(each[Figure.CPU_TIME] > 0 for each in counted)
    slots = _units(systemctl, "orchestrator-slot_*")
    assert len(slots) == 1
    assert not docker.engine._groups._cgroups.populated(folder(slots[0]))
    systemctl("stop", slots[0])


ASK = """
from orchestrator.adapters.docker.engine import DockerEngine
groups = DockerEngine("unix:///var/run/docker.sock")._groups
print(type(groups.parents).__name__, groups.reason)
"""
SOCKET = ("-v", "/var/run/docker.sock:/var/run/docker.sock")
BUS = ("-v", "/run/dbus/system_bus_socket:/run/dbus/system_bus_socket")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((*SOCKET, *BUS, "--cgroupns", "host"), "Slices \n"),
        ((*SOCKET, "--cgroupns", "host"), "needs the bus, user 0"),
        ((*SOCKET, *BUS, "--cgroupns", "private"), "this process sees only its own container's control groups"),
        (
            (*SOCKET, *BUS, "--cgroupns", "host", "--user", "10001", "--group-add", "{group}"),
            "needs the bus, user 0",
        ),
    ],
    ids=["all", "no bus", "its own groups only", "not root"],
)
def test_a_worker_in_a_container_gets_the_same_with_the_bus_and_the_hosts_groups(arguments: tuple[str, ...], said: str) -> None:
    """Without them it says what is missing."""
    group = str(Path("/var/run/docker.sock").stat().st_gid)
    assert said in in_container(ASK, [word.format(group=group) for word in arguments])


def test_a_slice_goes_quickly(docker: Bench, record_property: Callable[[str, object], None]) -> None:
    """What its stop costs is noted beside the result, and what a whole task's container takes."""
    subprocess.run(["sync"], check=True)
    plan = docker.plan("true")
    began = time.monotonic()
    docker.run_plan(plan)
    ran = time.monotonic() - began
    slices = docker.engine._groups.parents
    assert isinstance(slices, Slices)
    docker.engine.remove(plan.name, "elsewhere")
    with pytest.MonkeyPatch.context() as patch:
        stopped: list[float] = []
        patch.setattr(Slices, "drop", _timed(Slices.drop, stopped))
        docker.remove(plan)
    record_property("host: seconds of a container of `true`, and to stop its slice", f"{ran:.2f}, {sum(stopped):.3f}")
    assert stopped


def _timed(call: Callable[..., bool], took: list[float]) -> Callable[..., bool]:
    def timed(*arguments: object) -> bool:
        began = time.monotonic()
        try:
            return call(*arguments)
        finally:
            took.append(time.monotonic() - began)

    return timed
