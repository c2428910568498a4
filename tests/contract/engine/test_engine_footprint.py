"""Figures of a running container from its host, on Docker; skipped for a user who may not see its processes."""

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from orchestrator.adapters.docker.container_config import OUT
from orchestrator.adapters.docker.engine import DockerEngine
from orchestrator.adapters.docker.host_probe import HostProbe
from orchestrator.ports import Figure, Phase
from orchestrator.task.limits import Limits
from tests.support.abuse_program import SHM, TMP
from tests.support.containers import IMAGE, PATIENCE, WHERE, Bench, library
from tests.support.worker_process import until

SMALL = Limits(tmp=1 << 20, artifacts=1 << 20)
FILL = "dd if=/dev/zero of={}/x bs=1M count=100; exit 7"
MANY = "i=0; while touch /tmp/$i; do i=$((i+1)); done; exit 7"


@pytest.fixture(autouse=True)
def _seen(docker: Bench) -> None:
    if os.geteuid() != 0:
        pytest.skip("who is not root may not see the engine's processes: run the tests as root")
    assert docker.engine._groups.used, docker.engine._groups.reason


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208


@pytest.mark.parametrize(
    ("script", "full"),
    [
        (FILL.format(TMP), [TMP]),
        (FILL.format(SHM), [SHM]),
        (FILL.format(OUT), [OUT]),
        (f"({FILL.format(TMP)}); {FILL.format(OUT)}", [OUT, TMP]),
        (MANY, [TMP]),
        (FILL.format(TMP).replace("exit 7", "rm /tmp/x; exit 7"), []),
        ("exit 7", []),
    ],
    ids=["tmp", "shm", "out", "both", "of files", "emptied", "none"],
)
def test_a_folder_that_was_full_at_the_end_is_told(docker: Bench, script: str, full: list[str]) -> None:
    """Although the program ends before the engine reports its start."""
    before = _descriptors()
    container = docker.engine.create(docker.plan(script, limits=SMALL, out=True)).id
    probe = docker.engine.start(container)
    assert docker.engine.wait(container, PATIENCE).exit_code == 7
    assert [probe.close(), probe.close()] == [full, full]
    assert _descriptors() <= before


def test_a_program_that_another_process_started_is_seen(docker: Bench) -> None:
    """From when it is looked for."""
    container = docker.start("while [ ! -e /tmp/x ]; do sleep 0.1; done; exec sleep 1000", limits=SMALL)
    other = DockerEngine(WHERE)
    probe = other.probe(container)
    with library() as client:
        client.containers.get(container).exec_run(["sh", "-c", FILL.format(TMP)])
    assert probe.close() == [TMP]
    assert docker.engine.inspect(container).phase is Phase.RUNNING
    other.close()


def test_of_one_that_has_exited_nothing_is_seen(docker: Bench) -> None:
    """Its folders are gone, and do not count as full."""
    container = docker.run(FILL.format(TMP), limits=SMALL).state.id
    assert docker.engine.probe(container).close() == []


def test_what_nobody_closes_is_let_go_with_its_owner(docker: Bench) -> None:
    """The files are closed, so the memory of a folder is freed."""
    before = _descriptors()
    docker.start("exec sleep 1000")
    gc.collect()
    assert _descriptors() <= before


@contextmanager
def _plain(script: str) -> Iterator[str]:
    """A container that is in a group of the engine's choice, as with the driver systemd; its id."""
    with library() as client:
        container = client.containers.run(IMAGE, ["sh", "-c", script], detach=True, labels={"orchestrator.test": "plain"})
        try:
            yield container.id
        finally:
            container.remove(force=True)


def test_without_a_group_of_ours_the_containers_own_is_read_while_it_runs(docker: Bench) -> None:
    """So a short peak is seen once it has been, for the kernel keeps it; the source says that the end may be missing."""
    with _plain("x=$(head -c 20000000 /dev/zero | tr '\\0' a); unset x; exec sleep 1000") as container:
        probe = docker.engine.probe(container)
        assert isinstance(probe, HostProbe)
        until(lambda: (seen := probe.counted()) and seen.figures[Figure.MEMORY_PEAK] > 20_000_000)
        counted = probe.counted()
        assert counted
        assert counted.source.endswith(", while it ran")
        assert counted.figures[Figure.CPU_TIME] > 0
        assert docker.engine.inspect(container).counted is None
        docker.engine.stop(container, 0)
        assert probe.counted() is None
