"""What the kernel counts of a container, on Docker; skipped for a user who may not read the engine's groups."""

import os
import time
from itertools import islice

import pytest

from orchestrator.ports import EngineEvents, Figure
from orchestrator.task.limits import Limits
from tests.support import pace
from tests.support.containers import OURS, PATIENCE, Bench, library

MEBI = 1 << 20
PEAK = "x=$(head -c 20000000 /dev/zero | tr '\\0' a); unset x"


@pytest.fixture(autouse=True)
def _readable(docker: Bench) -> None:
    if os.geteuid() != 0:
        pytest.skip("who is not root may not read the engine's control groups: run the tests as root")
    assert docker.engine._groups.used, docker.engine._groups.reason


def test_a_short_peak_of_memory_is_seen_after_the_exit(docker: Bench) -> None:
    """Although it is shorter than a sample."""
    counted = docker.run(PEAK).state.counted
    assert counted
    assert 20 * MEBI < counted.figures[Figure.MEMORY_PEAK] < 200 * MEBI
    quiet = docker.run("true").state.counted
    assert quiet
    assert quiet.figures[Figure.MEMORY_PEAK] < 15 * MEBI


def test_cpu_time_is_counted_over_all_processes(docker: Bench) -> None:
    """Of two processes, busy one after the other, and also of ended ones."""
    counted = docker.run("for i in 1 2; do timeout 1 sh -c 'while :; do :; done'; done").state.counted
    assert counted
    assert 0.3 < counted.figures[Figure.CPU_TIME] < 2 + pace.seconds(0.5)


@pytest.mark.parametrize("init", [True, False], ids=["init", "no init"])
def test_what_only_a_running_container_tells_is_read_while_it_runs(docker: Bench, *, init: bool) -> None:
    """The number of refused processes, and the time of CPU throttling. The init process is none of the program's."""
    script = "(for i in $(seq 40); do sleep 1000 & done) 2>/dev/null; while :; do :; done"
    container = docker.start(script, limits=Limits(pids=20, cpus=0.1), init=init)
    deadline = time.monotonic() + PATIENCE
    figures: dict[Figure, float] = {}
    while not (figures.get(Figure.PIDS_REFUSED) and figures.get(Figure.THROTTLED)) and time.monotonic() < deadline:
        counted = docker.engine.wait(container, 0.2).counted
        figures = dict(counted.figures) if counted else {}
    assert figures[Figure.PIDS_REFUSED] >= 1
    assert figures[Figure.THROTTLED] > 0
    assert figures[Figure.PIDS_PEAK] == 20
    seen = (sample.counted.figures[Figure.PIDS_PEAK] for sample in docker.engine.stats(container) if sample.counted)
    assert 19 in islice(seen, 20)  # once the shell in brackets has ended


def _left(docker: Bench) -> list[str]:
    return [name for name, _ in docker.engine._groups.parents.left(OURS)]


def test_the_group_goes_with_the_container(docker: Bench) -> None:
    """No group is left on the host, also if another program removed the container before."""
    plan = docker.plan("true")
    docker.run_plan(plan)
    assert plan.name in _left(docker)
    with library() as client:
        client.containers.get(plan.name).remove()
    docker.remove(plan)
    assert plan.name not in _left(docker)


@pytest.mark.parametrize("signal", ["SIGKILL", "SIGTERM"])
def test_signals_of_other_clients_are_remembered_by_the_engine(docker: Bench, signal: str) -> None:
    """So a kill by hand can be distinguished from the program's own exit."""
    own = docker.start(f"kill -{signal.removeprefix('SIG')} $$")
    container = docker.start("exec sleep 1000")
    with library() as client:
        client.containers.get(container).kill(signal)
    docker.engine.wait(container, PATIENCE)
    docker.engine.wait(own, PATIENCE)
    assert docker.engine.noted(container) == EngineEvents([signal])
    assert docker.engine.noted(own) == EngineEvents([])
