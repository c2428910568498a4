"""Engines to test: the one in memory with scripted programs, and Docker."""

from collections.abc import Iterator
from tarfile import DIRTYPE

import pytest

from orchestrator.adapters.docker.engine import DockerEngine
from orchestrator.errors import InfrastructureError
from orchestrator.ports import Sample
from orchestrator.testing.engine import MemoryEngine
from orchestrator.testing.programs import FOREVER, Program
from tests.contract.engine import shell
from tests.support.containers import IMAGE, WHERE, Bench
from tests.support.tars import entry, packed

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
def docker(_docker: DockerEngine) -> Iterator[Bench]:
    """A bench on the real engine."""
    bench = Bench(_docker)
    yield bench
    bench.clear()


@pytest.fixture
def bench(kind: str, request: pytest.FixtureRequest) -> Bench:
    """A bench on each engine in turn."""
    if kind == "memory":
        return Bench(MemoryEngine(PROGRAMS, frozenset({IMAGE})))
    return request.getfixturevalue("docker")
