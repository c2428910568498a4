"""Row 16: the worker's wall clock, or the database's, jumps while a task runs."""

import os
from pathlib import Path

import pytest
from attrs import evolve

from orchestrator.embedded import Embedded
from scripts.packages import NotReady, read
from tests.faults.report import not_run, note
from tests.support import pace
from tests.support.fault_nursery import Nursery
from tests.support.fault_programs import talker
from tests.support.fault_proof import prove
from tests.support.fault_rows import Row
from tests.support.fault_site import Site
from tests.support.fault_wait import until
from tests.support.servers import Corner

DATABASE = [(Row.DATABASE_FORWARD, 3600), (Row.DATABASE_BACK, -3600)]
_SLEEP = """import select, time
time.sleep = lambda seconds: select.select((), (), (), seconds)
"""
"""libfaketime 0.9 breaks the call that Python sleeps with; it leaves this one alone."""
_MOVED = """import datetime

real = datetime.datetime


class Kind(type):
    def __instancecheck__(cls, value):
        return isinstance(value, real)


class Moved(real, metaclass=Kind):
    def __new__(cls, *args, **kwargs):
        return real(*args, **kwargs)

    @classmethod
    def now(cls, tz=None):
        with open({clock!r}) as file:
            return real.now(tz) + datetime.timedelta(seconds=int(file.read() or 0))


datetime.datetime = Moved
"""
"""Moves the date of the embedded database, which is a Python program; libfaketime would have its storage engine hang."""


@pytest.fixture
def library(tmp_path: Path, row: Row) -> Path:
    """Debian's libfaketime, not installed."""
    file = tmp_path / "libfaketime.so"
    try:
        file.write_bytes(read("libfaketime", "faketime/libfaketime.so.1"))
    except NotReady as reason:
        not_run(row, reason)
    return file


@pytest.mark.parametrize(("row", "jump"), [(Row.CLOCK_FORWARD, "+1h"), (Row.CLOCK_BACK, "-1h")])
@pytest.mark.long
def test_a_jump_of_the_clock_neither_ends_a_program_nor_loses_a_lease(
    site: Site, library: Path, tmp_path: Path, row: Row, jump: str
) -> None:
    """Time limits and leases are by other clocks; a second worker with the right time sees nothing to take over."""
    clock = tmp_path / "clock"
    clock.write_text("+0")
    (tmp_path / "sitecustomize.py").write_text(_SLEEP)
    faked = {
        "PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}",
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    other = site.survivor()
    with Nursery.start(tmp_path / "faked", faked) as nursery:
        worker = nursery.fork(site.environment, "jumper")
        worker.says("jobs at once")
        tasks = [site.submit(talker(14), limits={"timeout": 60}) for _ in range(2)]
        for task_id in tasks:
            site.reaches(task_id, "running")
        clock.write_text(jump)
        until(lambda: all(site.status(task_id) not in {"queued", "running"} for task_id in tasks))
        clock.write_text("+0")
        site.ended(tasks)
        documents = [site.document(task_id) for task_id in tasks]
        assert {document["worker"] for document in documents} == {"jumper"}
        assert {document["lease"]["worker"] for document in documents} == {"jumper"}
        held = prove(site, *tasks, slots=4)
        assert "adopt" not in other.said()
    note(row, held, runs=2)


@pytest.mark.parametrize(("row", "jump"), DATABASE, ids=lambda each: getattr(each, "name", ""))
@pytest.mark.long
def test_a_jump_of_the_databases_clock_costs_no_program_its_run(
    own_servers: Embedded, own_corner: Corner, tmp_path: Path, row: Row, jump: int
) -> None:
    """Leases run on that clock: a second worker may take a task, but it adopts the program and its time limit."""
    clock = tmp_path / "clock"
    clock.write_text("0")
    (tmp_path / "sitecustomize.py").write_text(_MOVED.format(clock=str(clock)))
    database = own_servers.processes["secantusdb"]
    database.stop(pace.seconds(10))
    database._server = evolve(database._server, env={"PYTHONPATH": str(tmp_path)})
    database.start()
    database.await_ready(pace.seconds(30))
    with Site({**own_corner.environment, "ORPHAN_GRACE": "3"}, tmp_path / "site") as site:
        store = site.services.store
        queues = [f"{own_corner.environment['QUEUE']}-{name}" for name in ("one", "other")]
        for queue in queues:
            site.worker(queue, QUEUE=queue, SWEEP_INTERVAL="0.5")
        tasks = [site.submit(talker(8), queue, limits={"timeout": 60}) for queue in queues]
        for task_id in tasks:
            site.reaches(task_id, "running")
        before = store.now()
        clock.write_text(str(jump))
        jumped = (store.now() - before).total_seconds()
        assert abs(jumped - jump) < pace.seconds(30), f"the clock jumped by {jumped:.0f} s"
        until(lambda: all(site.status(task_id) not in {"queued", "running"} for task_id in tasks))
        clock.write_text("0")
        site.ended(tasks)
        holders = [site.document(task_id)["lease"]["worker"] for task_id in tasks]
        moved = sum(holder != queue for holder, queue in zip(holders, queues, strict=True))
        held = prove(site, *tasks, slots=dict.fromkeys(queues, 4))
    note(row, held, runs=len(tasks), detail=f"{moved} of {len(tasks)} leases changed hands; then it jumps back")
