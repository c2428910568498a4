"""Engines to test: the one in memory with scripted programs, and Docker."""

import os
from collections.abc import Iterator
from tarfile import DIRTYPE

import pytest
from attrs import evolve

from orchestrator.adapters.docker.engine import DockerEngine
from orchestrator.errors import InfrastructureError
from orchestrator.ports import ContainerPlan, Created, Sample
from orchestrator.task.labels import DEPLOYMENT, WORKER
from orchestrator.testing.engine import MemoryEngine
from orchestrator.testing.programs import FOREVER, Program
from tests.contract.engine import shell
from tests.support.containers import IMAGE, OURS, WHERE, Bench
from tests.support.tars import entry, packed
from tests.support.worker_process import until

LEFT = packed(
    [
        entry("out", kind=DIRTYPE),
        entry("out/a", b"kept\n"),
        entry("out/d", kind=DIRTYPE),
        entry("out/d/b", b"x"),
    ]
)
PROGRAMS = {
    shell.SPEAK: Program(stdout=b"out\n", stderr=b"err\n", exit_code=3),
    shell.SLEEP: Program(stdout=b"asleep\n", seconds=FOREVER.seconds),
    shell.STUBBORN: Program(stdout=b"ready\n", seconds=FOREVER.seconds, heeds_term=False),
    shell.NAP: Program(stdout=b"out\n", seconds=0.2),
    shell.LEAVE: Program(out=LEFT, exit_code=3),
    shell.BUSY: Program(seconds=0.05, samples=(Sample(100.0, 1 << 20),)),
}


@pytest.fixture(scope="session")
def _docker() -> Iterator[DockerEngine]:
    engine = DockerEngine(WHERE)
    try:
        engine.identity()
    except InfrastructureError as error:
        pytest.skip(f"no Docker engine answers at {WHERE} ({error}): start one with `make ready`, or set DOCKER_HOST")
    yield engine
    engine.close()


@pytest.fixture
def docker(_docker: DockerEngine, request: pytest.FixtureRequest) -> Iterator[Bench]:
    """A bench on the real engine; with ORCHESTRATOR_TEST_WARM in the environment, on one whose containers wait."""
    bench = Bench(request.getfixturevalue("_warm") if os.environ.get("ORCHESTRATOR_TEST_WARM") else _docker)
    yield bench
    bench.clear()


@pytest.fixture(scope="session")
def _warm(_docker: DockerEngine) -> Iterator[DockerEngine]:
    """The real engine with containers that wait, each create call patient enough to get one."""
    engine = DockerEngine(WHERE)
    plan = Bench(engine).plan("")
    engine.keep_warm([(evolve(plan, name="", command=None, labels={DEPLOYMENT: OURS, WORKER: "one"}), 2)])
    create = engine.create

    def patient(plan: ContainerPlan) -> Created:
        until(lambda: any(each.settled for each in engine._warm._waiting))
        return create(plan)

    engine.create = patient  # type: ignore[method-assign]
    yield engine
    engine.close()


@pytest.fixture
def warm(_warm: DockerEngine) -> Iterator[Bench]:
    """A bench on the real engine, whose programs get containers that waited, where they fit."""
    bench = Bench(_warm)
    yield bench
    bench.clear()


@pytest.fixture
def bench(kind: str, request: pytest.FixtureRequest) -> Bench:
    """A bench on each engine in turn."""
    if kind == "warm":
        return request.getfixturevalue("warm")
    if kind == "memory":
        return Bench(MemoryEngine(PROGRAMS, frozenset({IMAGE})))
    return request.getfixturevalue("docker")
