"""Rows 1 (in the sweep), 3 and 4: a worker that is killed, frozen, or not alone."""

import signal
import time

import pytest

from orchestrator.metrics import declarations as metrics
from tests.faults.report import long, note
from tests.support import pace
from tests.support.fault_metrics import shows, with_metrics
from tests.support.fault_nursery import Child
from tests.support.fault_programs import talker
from tests.support.fault_proof import prove
from tests.support.fault_rows import Row
from tests.support.fault_site import Site
from tests.support.fault_wait import PATIENCE, crowding, until

RACERS, KILLS = 10, 8
QUIET = 30.0
"""Seconds of a usual machine within which a worker that thaws has to let go; it would try to upload for ten minutes."""
FROZEN_AT = {
    "before the start": "job/engine.start#1",
    "running": "job/engine.wait#1",
    "collecting": "job/spool.seal#1",
    "uploading": "job/logs.put#1",
    "about to publish": "job/events.publish#3",
    "about to record the end": "job/store.advance#4",
    "about to remove": "job/engine.remove#1",
}


def taken_by(site: Site, worker: Child, task_id: str, within: float = PATIENCE) -> float:
    """Wait until the worker holds the task; the monotonic time."""
    until(lambda: (site.document(task_id).get("lease") or {}).get("worker") == worker.name, within)
    return time.monotonic()


@pytest.mark.long
def test_the_task_of_a_killed_worker_does_not_wait_long(site: Site) -> None:
    """With the default settings and just after it was claimed: what the product takes by itself, where no crowd waits."""
    heir = site.survivor()
    tasks, recovered = [], []
    for number in range(KILLS):
        victim = site.worker(f"victim-{number}", SWEEP_INTERVAL="1000", QUEUE=f"victims-{number}")
        tasks.append(site.submit(talker(2), f"victims-{number}"))
        site.reaches(tasks[-1], "running")
        victim.signal(signal.SIGKILL)
        died = time.monotonic()
        recovered.append(taken_by(site, heir, tasks[-1]) - died)
    site.ended(tasks)
    held = prove(site, *tasks, slots={f"{site.environment['QUEUE']}-survivor": 4})
    assert max(recovered) <= pace.seconds(15) * crowding(), recovered
    note(Row.KILL_ALONE, held, recovered)


@pytest.mark.long
def test_a_worker_killed_while_it_sweeps_does_not_keep_others_from_sweeping(site: Site) -> None:
    """The sweep's lock dies before any lease does, so a death in the sweep costs nobody time."""
    site.worker("sweeper", at="sweep/store.active#1", QUEUE="nobody").dead()
    heir = site.survivor()
    victim = site.worker("victim", at="job/engine.wait#1", SWEEP_INTERVAL="1000")
    task_id = site.submit(talker(2))
    victim.dead()
    recovered = taken_by(site, heir, task_id) - victim.points()[-1][0]
    site.ended([task_id])
    held = prove(site, task_id, slots={f"{site.environment['QUEUE']}-survivor": 4})
    assert recovered < pace.seconds(15)
    note(Row.KILL_SWEEPER, held, [recovered])


def test_ten_workers_race_for_one_task_that_is_delivered_twenty_times(site: Site) -> None:
    """One of them creates and starts a container; the others return without touching the engine for it."""
    workers = [site.worker(f"racer-{number}", CONCURRENCY="1") for number in range(RACERS)]
    for worker in workers:
        worker.signal(signal.SIGSTOP)
    task_id = site.submit(talker(2))
    for _ in range(2 * RACERS - 1):
        site.services.queue.enqueue(task_id)
    for worker in workers:
        worker.signal(signal.SIGCONT)
    site.ended([task_id])
    reached = [point for worker in workers for _, point in worker.points()]
    assert sum("job/store.claim" in point for point in reached) >= RACERS
    assert sum("job/engine.create" in point for point in reached) == 1
    note(Row.RACE, prove(site, task_id, slots=RACERS), runs=1)


def test_a_worker_that_thaws_before_its_heir_records_nothing(site: Site) -> None:
    """Status and number of the last row are still as it knows them: its token alone keeps it from recording the outcome."""
    ttl = {"LEASE_TTL": str(pace.seconds(3))}
    loser, winner = with_metrics(), with_metrics()
    late = site.worker("late", "job/store.advance#2", "SIGSTOP", SWEEP_INTERVAL="1000", **ttl, **loser)
    task_id = site.submit(talker(2))
    until(lambda: late.stopped)
    heir = site.survivor("heir", "adopted/store.advance#1", with_signal="SIGSTOP", SWEEP_INTERVAL="0.5", **ttl, **winner)
    taken_by(site, heir, task_id)
    until(lambda: heir.stopped)
    known = site.document(task_id)["history"]
    late.signal(signal.SIGCONT)
    until(lambda: "let go" in late.said() or site.document(task_id)["history"] != known)
    assert site.document(task_id)["history"] == known, "a worker that had lost its lease has recorded the outcome"
    heir.signal(signal.SIGCONT)
    site.ended([task_id])
    assert site.document(task_id)["attempt"] == 1
    slots = {site.environment["QUEUE"]: 4, f"{site.environment['QUEUE']}-heir": 4}
    note(Row.FROZEN_TWICE, prove(site, task_id, slots=slots), runs=1)
    shows(loser, metrics.LEASES_LOST)
    shows(winner, metrics.ADOPTED, "running")


@pytest.mark.host
def test_a_worker_frozen_past_its_lease_changes_nothing_when_it_thaws(site: Site) -> None:
    """Its task was ended by another worker meanwhile; the late worker's writes are refused, wherever it was stopped."""
    lease = str(pace.seconds(3))
    heir = site.survivor(CONCURRENCY="8", LEASE_TTL=lease)
    frozen: dict[str, tuple[Child, str]] = {}
    slots = {f"{site.environment['QUEUE']}-survivor": 8}
    only = {"SWEEP_INTERVAL": "1000", "LEASE_TTL": lease, "CONCURRENCY": "1"}
    for number, (moment, point) in enumerate([*FROZEN_AT.items()][:: 1 if long() else 2]):
        queue = f"{site.environment['QUEUE']}-{number}"
        child = site.worker(f"frozen-{number}", point, "SIGSTOP", QUEUE=queue, **only)
        slots[queue] = 1
        frozen[moment] = child, site.submit(talker(1), queue)
    until(lambda: all(child.stopped for child, _ in frozen.values()))
    tasks = [task_id for _, task_id in frozen.values()]
    site.ended(tasks)
    for task_id in [task_id for moment, (_, task_id) in frozen.items() if moment != "about to remove"]:
        taken_by(site, heir, task_id)
    ends = {task_id: site.document(task_id)["history"] for task_id in tasks}
    for child, _ in frozen.values():
        child.signal(signal.SIGCONT)
    for moment, (child, _) in frozen.items():
        if moment != "about to remove":
            child.says("let go", within=QUIET)
    assert [site.listener.last(task_id) for task_id in tasks] == ["succeeded"] * len(tasks)
    assert {task_id: site.document(task_id)["history"] for task_id in tasks} == ends
    note(Row.FROZEN, prove(site, *tasks, slots=slots), runs=len(tasks), detail=", ".join(frozen))


def test_a_worker_that_was_told_to_stop_while_it_was_frozen_leaves_as_soon_as_it_thaws(site: Site) -> None:
    """Its program runs on with another worker, and the first one does not wait for it."""
    lease = str(pace.seconds(3))
    child = site.worker("frozen", "job/engine.wait#1", "SIGSTOP", SWEEP_INTERVAL="1000", LEASE_TTL=lease)
    task_id = site.submit(talker(20 * pace.slowness()))
    until(lambda: child.stopped)
    heir = site.survivor(LEASE_TTL=lease)
    taken_by(site, heir, task_id)
    child.signal(signal.SIGTERM)
    child.signal(signal.SIGCONT)
    child.dead(within=12.0)
    assert site.status(task_id) == "running"
    site.ended([task_id])
    prove(site, task_id, slots={f"{site.environment['QUEUE']}-survivor": 4})
