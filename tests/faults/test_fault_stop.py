"""Rows 9, 10 and 15: ending programs that do not want to end, races for the outcome, and stopping a worker."""
# ruff: noqa: S311  chance need not be secure here

import random
import signal
import threading
import time
from datetime import timedelta

import pytest
from attrs import evolve

from orchestrator.metrics import declarations as metrics
from tests.faults.report import long, note
from tests.faults.test_fault_worker import taken_by
from tests.support import pace
from tests.support.fault_metrics import shows, with_metrics
from tests.support.fault_nursery import Child
from tests.support.fault_programs import Program, sleeper, stubborn, talker
from tests.support.fault_proof import prove
from tests.support.fault_rows import Row
from tests.support.fault_site import Site
from tests.support.fault_wait import until

AT_THE_HAND_OVER = "main/store.let_go#1"
GRACE = 2.0
ONE_REQUEST = timedelta(milliseconds=50)
"""For so long a request to MongoDB may wait after the server has read its clock for it."""
STUBBORN = stubborn()
FAMILY = Program(
    "trap '' TERM; echo started; (trap '' TERM; sleep 300) & (sleep 301 &) ; echo tail; wait; sleep 302", b"started\ntail\n"
)


def test_sigterm_lets_what_runs_end(site: Site) -> None:
    """The worker takes no new task, ends the one that runs, and leaves."""
    worker = site.worker("drained")
    task_id = site.submit(talker(2))
    site.reaches(task_id, "running")
    asked = worker.signal(signal.SIGTERM)
    worker.says("stopping")
    late = site.submit(talker(0.2))
    worker.dead()
    assert site.document(task_id)["status"] == "succeeded"
    assert site.document(task_id)["worker"] == "drained"
    assert site.status(late) == "queued"
    site.worker("next")
    site.ended([late])
    took = time.monotonic() - asked
    note(Row.TERM_ONCE, prove(site, task_id, late, slots=4), [took])


@pytest.mark.parametrize("row", [Row.TERM_TWICE, Row.KILL_HAND_OVER] if long() else [Row.TERM_TWICE], ids=lambda row: row.name)
@pytest.mark.host
def test_a_second_sigterm_hands_over_what_runs(site: Site, row: Row) -> None:
    """The containers run on, and the next worker ends the tasks as if nothing had happened, also when handing over fails."""
    worker = site.worker("leaving", AT_THE_HAND_OVER if row is Row.KILL_HAND_OVER else "", SWEEP_INTERVAL="1000")
    heir = site.survivor()
    tasks = [site.submit(talker(6)) for _ in range(3)]
    for task_id in tasks:
        site.reaches(task_id, "running")
    worker.signal(signal.SIGTERM)
    worker.says("stopping")
    time.sleep(1.2)  # one signal may come twice within a second
    worker.signal(signal.SIGTERM)
    worker.dead()
    left = time.monotonic()
    recovered = [taken_by(site, heir, task_id) - left for task_id in tasks]
    site.ended(tasks)
    assert any(AT_THE_HAND_OVER in point for _, point in worker.points())
    note(row, prove(site, *tasks, slots={f"{site.environment['QUEUE']}-survivor": 4}), recovered)


@pytest.mark.host
def test_programs_that_ignore_sigterm_are_dead_within_grace(site: Site) -> None:
    """At the deadline and when cancelled, with children and grandchildren. Their earlier output is kept."""
    site.worker("worker", CONCURRENCY="4", **(worker := with_metrics()))
    late = [site.submit(program, limits={"timeout": 1.5}) for program in (STUBBORN, FAMILY)]
    unwanted = [site.submit(program) for program in (STUBBORN, FAMILY)]
    for task_id in unwanted:
        site.reaches(task_id, "running")
    until(lambda: all(_has_said(site, task_id) for task_id in unwanted))
    asked = time.monotonic()
    for task_id in unwanted:
        site.client.cancel(task_id)
    site.ended(unwanted)
    took = time.monotonic() - asked
    site.ended(late)
    outcomes = [(site.document(task_id)["status"], site.document(task_id)["cause"]) for task_id in late + unwanted]
    assert outcomes == [("timed_out", "timeout")] * 2 + [("failed", "cancelled")] * 2
    for outcome in set(outcomes):
        shows(worker, metrics.ENDED, *outcome)
    for task_id in late + unwanted:
        site.programs[task_id] = evolve(site.programs[task_id], status=None, whole={"timeout", "cancelled"})
    held = prove(site, *late, *unwanted, slots=4)
    assert took < GRACE + pace.seconds(8)
    note(Row.STUBBORN, held, [took], runs=4)


def test_one_winner_of_cancel_deadline_and_natural_exit(site: Site) -> None:
    """All at the same moment, repeatedly: cancelled if requested before the outcome was stored, otherwise the outcome stays."""
    site.worker("worker", CONCURRENCY="4")
    rounds = 25 if long() else 1
    outcomes = []
    for _ in range(rounds):
        tasks = [site.submit(talker(1.0), limits={"timeout": 1.15 + random.uniform(-0.1, 0.1)}) for _ in range(4)]
        threads = [threading.Thread(target=_cancel_near_the_end, args=(site, task_id)) for task_id in tasks]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        site.ended(tasks)
        for task_id in tasks:
            site.programs[task_id] = Program("", site.programs[task_id].stdout, b"trouble\n", None)
            document = site.document(task_id)
            outcomes.append(document["cause"] or document["status"])
            assert (document["status"], document["cause"]) in {
                ("succeeded", None),
                ("timed_out", "timeout"),
                ("failed", "cancelled"),
            }
            if document["cause"] != "cancelled" and document.get("cancel_requested_at"):
                decided = next(row["at"] for row in document["history"] if row["status"] == "collecting")
                assert document["cancel_requested_at"] >= decided - ONE_REQUEST
        held = prove(site, *tasks, slots=4)
    counts = ", ".join(f"{outcomes.count(each)} {each}" for each in sorted(set(outcomes)))
    note(Row.CANCEL_RACE, held, runs=len(outcomes), detail=counts)


def test_cancel_in_every_state(site: Site) -> None:
    """Queued: it never starts. Running: it is ended. Collecting and uploading: the outcome that was stored stands."""
    queued = site.submit(sleeper(60))
    site.client.cancel(queued)
    assert site.document(queued)["cause"] == "cancelled"
    assert site.starts.of(queued) == {}
    frozen: dict[str, tuple[Child, str]] = {}
    for state, point in {"collecting": "job/spool.seal#1", "uploading": "job/logs.put#1"}.items():
        queue = f"{site.environment['QUEUE']}-{state}"
        child = site.worker(state, point, "SIGSTOP", QUEUE=queue, LEASE_TTL=str(pace.seconds(60)))
        frozen[state] = child, site.submit(talker(0.3), queue)
    for state, (child, task_id) in frozen.items():
        until(lambda child=child: child.stopped)
        assert site.status(task_id) == state
        site.client.cancel(task_id)
        child.signal(signal.SIGCONT)
    tasks = [task_id for _, task_id in frozen.values()]
    site.ended(tasks)
    held = prove(site, queued, *tasks, slots={f"{site.environment['QUEUE']}-{state}": 4 for state in frozen})
    note(Row.CANCEL, held, runs=3)


def _cancel_near_the_end(site: Site, task_id: str) -> None:
    site.reaches(task_id, "running")
    time.sleep(pace.seconds(1.1 + random.uniform(-0.1, 0.1)))
    site.client.cancel(task_id)


def _has_said(site: Site, task_id: str) -> bool:
    (container,) = site.docker.containers.list(filters={"label": f"orchestrator.task={task_id}"})
    return bool(container.logs())
