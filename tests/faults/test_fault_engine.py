"""Row 5: the engine goes down, alone or with the worker, and comes back."""

import signal
import time
from pathlib import Path

import pytest
from attrs import field, frozen

from tests.faults.report import note
from tests.support import pace
from tests.support.fault_dockerd import Dockerd
from tests.support.fault_programs import Program, talker
from tests.support.fault_proof import prove
from tests.support.fault_rows import Row
from tests.support.fault_site import Site
from tests.support.servers import Corner


@frozen
class Restart:
    """How the engine ends, whether the worker is killed before, the program that runs, and the attempt in which it ends."""

    how: signal.Signals
    flags: tuple[str, ...] = ()
    alone: bool = True
    program: Program = field(factory=lambda: talker(8))
    attempt: int = 2


def _content() -> Program:
    """Exits 0 on TERM, and after a while by itself."""
    naps = f"i=0; while [ $i -lt 80 ]; do usleep {round(pace.seconds(0.1) * 1e6)}; i=$((i+1)); done"
    return Program(f"trap 'exit 0' TERM; echo started; {naps}", b"started\n")


RESTARTS = {
    Row.RESTART_LIVE: Restart(signal.SIGTERM, ("--live-restore",), attempt=1),
    Row.KILLED_LIVE: Restart(signal.SIGKILL, ("--live-restore",), attempt=1),
    Row.RESTART: Restart(signal.SIGTERM),
    Row.KILLED: Restart(signal.SIGKILL),
    Row.RESTART_CONTENT: Restart(signal.SIGTERM, program=_content(), attempt=1),
    Row.KILLED_CONTENT: Restart(signal.SIGKILL, program=_content()),
    Row.RESTART_BOTH: Restart(signal.SIGTERM, alone=False),
    Row.KILLED_BOTH: Restart(signal.SIGKILL, alone=False),
}


@pytest.mark.parametrize("row", RESTARTS, ids=lambda row: row.name)
@pytest.mark.long
@pytest.mark.host
def test_a_restart_of_the_engine_is_not_the_programs_failure(corner: Corner, tmp_path: Path, row: Row) -> None:
    """With live-restore the program lives and is carried on with; without it is started again as a new attempt.

    But for one that the engine saw exit with 0: that has finished.
    """
    restart = RESTARTS[row]
    environment = {**corner.environment, "LEASE_TTL": str(pace.seconds(5)), "SWEEP_INTERVAL": "2"}
    with Dockerd(*restart.flags) as engine, Site({**environment, "DOCKER_HOST": engine.host}, tmp_path) as site:
        worker = site.worker("worker")
        tasks = [site.submit(restart.program) for _ in range(2)]
        for task_id in tasks:
            site.reaches(task_id, "running")
        time.sleep(1)
        if not restart.alone:
            worker.signal(signal.SIGKILL)
            worker.dead()
        engine.stop(restart.how)
        time.sleep(2)
        back = engine.start()
        if not restart.alone:
            site.worker("heir")
        site.ended(tasks)
        took = time.monotonic() - back
        attempts = [site.document(task_id)["attempt"] for task_id in tasks]
        assert attempts == [restart.attempt] * 2, [site.document(task_id)["message"] for task_id in tasks]
        note(row, prove(site, *tasks, slots=4, again=row.again), [took])
