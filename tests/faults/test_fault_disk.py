"""Row 17: the disk that output is spooled on is full."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.fault_disk import small_disk
from tests.support.fault_programs import Program, flood, talker
from tests.support.fault_proof import prove
from tests.support.fault_report import not_run, note
from tests.support.fault_rows import Row
from tests.support.fault_site import Site
from tests.support.fault_wait import until
from tests.support.servers import Corner


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MB."""
    if os.geteuid() != 0:
        not_run(Row.DISK_FULL, "only root may mount a disk")
    with small_disk(tmp_path / "small", 1) as folder:
        yield folder


@pytest.fixture
def site(corner: Corner, tmp_path: Path, small: Path) -> Iterator[Site]:
    """A site that spools there."""
    with Site({**corner.environment, "SPOOL_DIR": str(small / "spool")}, tmp_path) as site:
        yield site


@pytest.mark.long
def test_a_log_that_never_fits_fails_the_task_and_says_why(site: Site) -> None:
    """Nothing corrupt is uploaded, every attempt says what was full, and the next task runs."""
    site.worker("worker", RETRY_BUDGET="1")
    program = flood(3_000_000)
    big = site.submit(Program(program.script, program.stdout, b"", "failed", "infrastructure"))
    site.ended([big])
    document = site.document(big)
    assert "No space left" in document["message"]
    assert document["logs"] is None
    until(lambda: site.document(big).get("settled"))  # the disk is full until then
    small = site.submit(talker(0.3))
    site.ended([small])
    note(Row.DISK_SMALL, prove(site, big, small, slots=4), runs=1)


def test_a_disk_that_is_full_for_a_while_costs_only_time(site: Site, small: Path) -> None:
    """The log is completed from the engine's own once there is room again."""
    site.worker("worker")
    ballast = small / "ballast"
    ballast.write_bytes(bytes(800_000))
    task_id = site.submit(flood(600_000))
    site.reaches(task_id, "collecting")
    time.sleep(3)
    assert site.status(task_id) == "collecting"
    ballast.unlink()
    freed = time.monotonic()
    site.ended([task_id])
    took = time.monotonic() - freed
    assert site.document(task_id)["attempt"] == 1
    note(Row.DISK_FULL, prove(site, task_id, slots=4), [took])
