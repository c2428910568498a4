"""Row 17: the disk of the spool is full."""

import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import evolve

from tests.faults.disk import kept_full, small_disk
from tests.faults.report import long, not_run, note
from tests.support import pace
from tests.support.fault_nursery import Child
from tests.support.fault_programs import Program, flood, talker
from tests.support.fault_proof import prove
from tests.support.fault_rows import Row
from tests.support.fault_site import Site
from tests.support.fault_wait import until
from tests.support.servers import Corner

FINISHED_AT = {"running": "job/engine.wait#1", "collecting": "job/spool.seal#1", "uploading": "job/logs.put#1"}


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
    """The program has finished and runs once. Its task fails with the reason, and the next task runs."""
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


@pytest.mark.host
def test_a_disk_that_is_full_takes_no_run_from_a_program_that_has_finished(site: Site, small: Path) -> None:
    """In every state of its task, with its worker or another: one start, exit code 0, and as much of the log as fits."""
    lease, impatient = (
        str(pace.seconds(60)),
        {"RETRY_BUDGET": "1", "UPLOAD_BUDGET": "1", "SPOOL_GRACE": "1", "ORPHAN_GRACE": "1"},
    )
    frozen: list[Child] = []
    tasks: list[str] = []
    moments = FINISHED_AT if long() else {"collecting": FINISHED_AT["collecting"]}
    for moment, point in moments.items():
        for what in ("SIGSTOP", "SIGKILL"):
            queue = f"{site.environment['QUEUE']}-{moment}-{what}"
            ttl = lease if what == "SIGSTOP" else str(pace.seconds(3))
            child = site.worker(f"{moment}-{what}", point, what, QUEUE=queue, LEASE_TTL=ttl, SWEEP_INTERVAL="1000", **impatient)
            tasks.append(site.submit(evolve(flood(60_000), status=None, cut=True), queue))
            if what == "SIGKILL":
                child.dead()
            else:
                until(lambda child=child: child.stopped)
                frozen.append(child)
    until(lambda: all(_has_exited(site, task_id) for task_id in tasks))
    with kept_full(small):
        until(lambda: shutil.disk_usage(small).free == 0)
        site.survivor(SWEEP_INTERVAL="0.5", **impatient)
        for child in frozen:
            child.signal(signal.SIGCONT)
        site.ended(tasks)
    documents = [site.document(task_id) for task_id in tasks]
    assert {(each["attempt"], each["exit_code"]) for each in documents} == {(1, 0)}
    ends = [(each["status"], each["cause"]) for each in documents]
    assert set(ends) <= {("succeeded", None), ("failed", "upload")}
    queues = {f"{site.environment['QUEUE']}-{moment}-SIGSTOP": 4 for moment in moments}
    held = prove(site, *tasks, slots={f"{site.environment['QUEUE']}-survivor": 4, **queues})
    whole = sum(status == "succeeded" for status, _ in ends)
    note(Row.DISK_FINISHED, held, runs=len(tasks), detail=f"{whole} logs were whole, the others cut, failed (upload)")


def _has_exited(site: Site, task_id: str) -> bool:
    (container,) = site.docker.containers.list(all=True, filters={"label": f"orchestrator.task={task_id}"})
    return bool(container.status == "exited")


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
