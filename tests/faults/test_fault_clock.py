"""Row 16: the worker's wall clock jumps while a task runs."""

import os
from pathlib import Path

import pytest

from scripts.packages import NotReady, read
from tests.support.fault_nursery import Nursery
from tests.support.fault_programs import talker
from tests.support.fault_proof import prove
from tests.support.fault_report import not_run, note
from tests.support.fault_rows import Row
from tests.support.fault_site import Site
from tests.support.fault_wait import until

_SLEEP = """import select, time
time.sleep = lambda seconds: select.select((), (), (), seconds)
"""
"""libfaketime 0.9 breaks the call that Python sleeps with; it leaves this one alone."""


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
