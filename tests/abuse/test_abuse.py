"""Every hostile program of the table, run as a task: its verdict is exact, nothing is left, the worker is as before."""

import os
import uuid
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest

from orchestrator.client import Client
from orchestrator.embedded import Embedded
from orchestrator.errors import InvalidTask
from orchestrator.wiring import connect
from tests.abuse import page as abuse_page
from tests.abuse.artifacts import ARTIFACTS
from tests.abuse.bench import AT_ONCE, Bench, wait_for
from tests.abuse.endings import EXIT, MEMORY, SIGNALS, TIME
from tests.abuse.input import INPUT
from tests.abuse.resources import FILES, OUTPUT, PROCESSES
from tests.abuse.secrecy import CANARY, LEAKS, SECRETS
from tests.abuse.walls import NETWORK, PRIVILEGE
from tests.support.abuse_program import GRACE, Program, Ran
from tests.support.installation import Installation
from tests.support.servers import corners

PROGRAMS = [
    *EXIT, *SIGNALS, *TIME, *MEMORY, *PROCESSES, *OUTPUT, *FILES, *ARTIFACTS, *NETWORK, *PRIVILEGE, *SECRETS, *LEAKS, *INPUT,
]  # fmt: skip
ROOM = 40 << 20
"""Bytes by which the worker's memory may be above what it was when warm, while others flood it at the same time."""
FLAT = 40 << 20
"""Bytes by which it may differ once all is over."""
ROUNDS = 10
LITTLE = 2 << 20
"""Bytes that the last round of repeats may add. An allocator keeps what it once needed, so some of the rounds may add more;
what leaks, even 100 kB for each task, shows in all of them."""
PAGE = "ABUSE_PAGE"
"""The environment variable that names the file for the table; without it nothing is written."""


@pytest.fixture(scope="module")
def bench(servers: Embedded, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Bench]:
    """One worker for all programs, warm."""
    folder = tmp_path_factory.mktemp("abuse")
    corner = next(corners(servers.environment))
    own = {"SPOOL_DIR": str(folder / "spool"), "PULL_POLICY": "never", "CONCURRENCY": str(AT_ONCE), "STOP_GRACE": str(GRACE)}
    installation = Installation({**corner.environment, **own, CANARY: f"SECRET-{uuid.uuid4().hex}"}, folder)
    installation.start()
    bench = Bench(installation)
    try:
        bench.warm_up([EXIT[0], *OUTPUT])
        yield bench
    finally:
        bench.close()
        installation.stop()
    corner.wipe()
    if os.environ.get(PAGE) and not request.session.testsfailed:
        assert len(bench.ran) == len(PROGRAMS), "the page is made of a run of all programs"
        assert bench.again, "the page is made of a run of all tests"
        in_order = [bench.ran[program.name] for program in PROGRAMS]
        memory = abuse_page.Memory(bench.baseline, bench.final, bench.again, ROOM, FLAT, LITTLE, ROUNDS)
        abuse_page.write(Path(os.environ[PAGE]), in_order, memory)


@pytest.fixture(scope="module")
def running(bench: Bench, request: pytest.FixtureRequest) -> dict[str, "Future[Ran]"]:
    """All programs whose tests were selected, begun side by side."""
    chosen = [getattr(item, "callspec", None) for item in request.session.items if item.fspath == request.fspath]
    programs = [spec.params["program"] for spec in chosen if spec and "program" in spec.params]
    return {program.name: bench.begin(program) for program in programs}


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_a_hostile_program_is_held(bench: Bench, running: dict[str, "Future[Ran]"], program: Program) -> None:
    """Its verdict is exact, nothing of it is left on the host, the next task runs, the worker's memory is flat."""
    ran = running[program.name].result()
    program.check(ran.seen)
    assert not ran.left
    assert not ran.next_saw
    assert ran.after < bench.baseline + ROOM


def test_a_document_of_20_mb_is_refused_before_it_is_stored(bench: Bench) -> None:
    """By the client with a sentence that says how much is allowed, by the database for anybody else."""
    services = connect(bench.installation.settings)
    document = {"_id": "large", "status": "queued", "image": "busybox", "stdin": "x" * (20 << 20)}
    with pytest.raises(InvalidTask, match=r"task: .*there is no room for what the worker writes"):
        services.store.insert(document)
    with pytest.raises(InvalidTask):
        Client(services).submit({"image": "busybox", "stdin": document["stdin"]}, "large")
    assert services.store.find("large") is None
    services.store.close()


def test_the_worker_is_flat_after_all_of_them(bench: Bench, running: dict[str, "Future[Ran]"]) -> None:
    """Its memory, once what it last read is freed; what is run again adds nothing to it; and it has logged no traceback."""
    for future in running.values():
        future.result()
    wait_for(lambda: bench.memory < bench.baseline + FLAT, within=60)
    bench.final = bench.memory
    assert any(bench.repeat([*OUTPUT, *INPUT]) <= LITTLE for _ in range(ROUNDS)), bench.again
    log = (bench.installation.folder / "worker-0.log").read_text()
    assert "Traceback" not in log
