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


def test_of_a_log_that_never_fits_what_does_is_kept(site: Site) -> None:
    """The program has finished and runs once; its task fails and says why, and the next one runs."""
    site.worker("worker", RETRY_BUDGET="1")
    program = flood(3_000_000)
    big = site.submit(Program(program.script, program.stdout, b"", "failed", "upload", cut=True))
    site.ended([big])
    document = site.document(big)
    assert "No space left" in document["message"]
    assert (document["attempt"], document["attempts"], document["exit_code"]) == (1, [], 0)
    stdout = document["logs"]["stdout"]
    assert stdout["truncated"]
    assert stdout["bytes"] > 500_000
    until(lambda: site.document(big).get("settled"))  # the disk is full until then
    small = site.submit(talker(0.3))
    site.ended([small])
    note(Row.DISK_SMALL, prove(site, big, small, slots=4), runs=1)


def test_an_artifact_that_never_fits_is_refused_and_costs_nothing_else(site: Site) -> None:
    """The program runs once, its log is whole, what fits is kept, and the task succeeds as its program did."""
    site.worker("worker", RETRY_BUDGET="1")
    script = "echo started; printf early >/out/a; head -c 8000000 /dev/zero >/out/big; printf late >/out/z"
    task_id = site.submit(Program(script, b"started\n", out={"a": b"early", "z": b"late"}), artifacts=["."])
    site.ended([task_id])
    document = site.document(task_id)
    assert (document["attempt"], document["attempts"]) == (1, [])
    assert document["artifacts_refused"] == [
        {"path": "big", "why": "there is no room for it in the spool: No space left on device"}
    ]
    note(Row.DISK_ARTIFACT, prove(site, task_id, slots=4), runs=1)


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
