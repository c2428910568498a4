"""Rows 1 and 14, at RQ's records: a worker is killed while it keeps them, or before it has any record of what it took."""

import pytest
from rq import Queue
from rq.serializers import JSONSerializer

from orchestrator.adapters.redis.client import redis_client
from orchestrator.metrics import declarations as metrics
from tests.faults.report import long, note
from tests.faults.test_fault_worker import taken_by
from tests.support import pace
from tests.support.fault_metrics import moved, with_metrics
from tests.support.fault_programs import talker
from tests.support.fault_proof import prove
from tests.support.fault_rows import Row
from tests.support.fault_site import Site
from tests.support.fault_wait import until

AT_THE_START = "main/rq.clean#1"
AT_A_FAILURE = "job/rq.handle_job_failure#1"
AT_A_HEARTBEAT = "main/rq.beat#3"
AT_THE_BOOKS = {AT_THE_START, AT_A_FAILURE, AT_A_HEARTBEAT}
AT_THE_RESCUE = "main/rq._put_back#1"
TAKEN = {
    Row.TAKEN_FETCH: "main/rq._fetch#1",
    Row.TAKEN_NOTE: "main/rq._note_begin#1",
    Row.TAKEN_CLAIM: "job/store.claim#1",
}


@pytest.mark.long
def test_a_worker_killed_while_it_keeps_rqs_records_is_replaced(site: Site) -> None:
    """At its start, with a task in line; beside a running task, at another job's failure and at a heartbeat in mid-run."""
    queues = {point: f"{site.environment['QUEUE']}-{number}" for number, point in enumerate(sorted(AT_THE_BOOKS))}
    waiting = site.submit(talker(0.5), queues[AT_THE_START])
    victims = [site.nursery.fork({**site.environment, "QUEUE": queues[AT_THE_START]}, "starter", AT_THE_START)]
    running = []
    for number, point in enumerate((AT_A_FAILURE, AT_A_HEARTBEAT)):
        victims.append(site.worker(f"keeper-{number}", point, QUEUE=queues[point], SWEEP_INTERVAL="1000"))
        running.append(site.submit(talker(20), queues[point]))
        site.reaches(running[-1], "running")
    with redis_client(site.settings) as redis:
        line = Queue(queues[AT_A_FAILURE], connection=redis, serializer=JSONSerializer)
        line.enqueue("orchestrator.tasks.run_task")  # without the id, so it raises
        for victim in victims:
            victim.dead()
    heir = site.survivor()
    for task_id in running:
        taken_by(site, heir, task_id)
    site.ended([waiting, *running])
    assert [site.document(task_id)["attempt"] for task_id in running] == [1, 1]
    held = prove(site, waiting, *running, slots={f"{site.environment['QUEUE']}-survivor": 4})
    note(Row.KILL_BOOKS, held, runs=len(victims))


@pytest.mark.parametrize("row", TAKEN if long() else [Row.TAKEN_CLAIM], ids=lambda row: row.name)
def test_a_task_taken_from_the_queue_and_not_claimed_is_delivered_again(site: Site, row: Row) -> None:
    """The next worker of the same queue finds it, within the lease's time."""
    _taken_and_dropped(site, row, TAKEN[row])


@pytest.mark.long
def test_a_worker_killed_while_it_puts_back_what_another_took_is_replaced(site: Site) -> None:
    """The entry is still where the first one left it, so the third worker finds it as the second did."""
    _taken_and_dropped(site, Row.TAKEN_TWICE, TAKEN[Row.TAKEN_FETCH], AT_THE_RESCUE)


def _taken_and_dropped(site: Site, row: Row, *points: str) -> None:
    """One worker after the other dies at its point; the heir of the last one ends the task."""
    victims = [site.worker("victim", at=points[0])]
    task_id = site.submit(talker(0.5))
    victims[0].dead()
    for number, point in enumerate(points[1:]):
        victims.append(site.worker(f"next-{number}", at=point, SWEEP_INTERVAL="1000"))
        victims[-1].dead()
    heir = site.worker("heir", **(worker := with_metrics()))
    recovered = taken_by(site, heir, task_id) - victims[-1].points()[-1][0]
    site.ended([task_id])
    until(lambda: moved(worker, metrics.RESCUED) + moved(worker, metrics.SWEPT, "enqueue") > 0)
    held = prove(site, task_id, slots=4)
    assert recovered < pace.seconds(15)
    note(row, held, [recovered])
