"""A queue that the worker shares with others, against a real Redis server: what it must neither run nor fail nor load."""

import json
import zlib
from pathlib import Path

from rq import Callback, Queue, SimpleWorker
from rq.job import Job
from rq.rate_limit import RateLimit
from rq.registry import StartedJobRegistry

from orchestrator.adapters.redis.job import FAILURE_TTL
from orchestrator.worker.rq_maintenance import clean
from tests.support.planted import plant
from tests.support.worker_process import FUNCTIONS, JOBS, Notes, Start, Valkey, until


def hashes(server: Valkey, job_ids: list[str]) -> list[dict[bytes, bytes]]:
    """What Redis has of each job."""
    return [server.client.hgetall(Job.key_for(job_id)) for job_id in job_ids]


def test_worker_and_its_upkeep_load_nothing_that_somebody_planted(
    server: Valkey, worker: Start, notes: Notes, tmp_path: Path
) -> None:
    """Neither from a job in line nor from one that seems to be abandoned; and it goes on with its own jobs."""
    mark = tmp_path / "mark"
    job_ids = plant(server.client, "default", mark)
    for job_id in plant(server.client, "default", mark):
        server.client.zadd(server.queue.started_job_registry.key, {f"{job_id}:x": 1})
        server.client.hset(Job.key_for(job_id), "status", "started")
    before = hashes(server, job_ids)
    running = worker()
    server.put("work", "t0")
    notes.wait("end", 1)
    assert running.stop() == 0
    clean(server.queue, FUNCTIONS)
    assert not mark.exists()
    assert sorted(set(server.queue.job_ids)) == sorted(job_ids)
    assert hashes(server, job_ids) == before


def test_nothing_is_imported_but_the_functions_that_the_worker_runs(
    server: Valkey, worker: Start, notes: Notes, tmp_path: Path
) -> None:
    """Not for the call itself, nor for what RQ would call when the job has ended or was abandoned."""
    (tmp_path / "trap.py").write_text(f"open({str(tmp_path / 'mark')!r}, 'w')\ndef spring(*_): pass\n")
    names = ("success_callback_name", "failure_callback_name", "stopped_callback_name")
    for task_id, function in (("t0", "work"), ("t1", "fail")):
        job_id = server.put(function, task_id)
        server.client.hset(Job.key_for(job_id), mapping=dict.fromkeys(names, "trap.spring"))
    trap = server.queue.enqueue("trap.spring").id
    running = worker(PYTHONPATH=f"{tmp_path}:.")
    notes.wait("begin", 2)
    running.says("calls 'trap.spring'")
    assert running.stop() == 0
    assert not (tmp_path / "mark").exists()
    assert server.queue.job_ids == [trap]


def test_jobs_of_another_application_are_left_for_its_own_workers(server: Valkey, worker: Start, notes: Notes) -> None:
    """They are neither run, failed nor changed, and its worker runs them afterwards; one warning names the first of them."""
    theirs = Queue("default", connection=server.client)
    foreign = [theirs.enqueue("operator.neg", number).id for number in range(20)]
    before = hashes(server, foreign)
    running = worker(2)
    for number in range(20):
        server.put("work", f"t{number}")
    notes.wait("end", 20)
    until(lambda: server.queue.count == 20)
    running.says("put back at the far end")
    assert running.stop() == 0
    assert sum("put back at the far end" in line["message"] for line in running.lines()) == 1
    assert hashes(server, foreign) == before
    assert server.queue.failed_job_registry.get_job_count(cleanup=False) == 0
    SimpleWorker([theirs], connection=server.client).work(burst=True, logging_level="ERROR")
    assert [Job.fetch(job_id, server.client).return_value() for job_id in foreign] == [-number for number in range(20)]


def test_a_job_that_begins_beside_many_foreign_ones_does_not_wait_long(server: Valkey, worker: Start, notes: Notes) -> None:
    """The worker looks through the line, and rests when there is nothing else in it."""
    theirs = Queue("default", connection=server.client)
    theirs.enqueue_many([Queue.prepare_data("operator.neg", (number,)) for number in range(300)])
    running = worker()
    running.says("put back at the far end")
    asked = commands(server)
    until(lambda: commands(server) > asked + 2000)
    server.put("work", "t0")
    notes.wait("end", 1)
    assert running.stop() == 0
    assert server.queue.count == 300


def test_jobs_of_another_application_that_wait_for_ours_begin_after_them(server: Valkey, worker: Start, notes: Notes) -> None:
    """With all that they have: what is called when they end, how long they are kept, and how many may run at once."""
    theirs = Queue("theirs", connection=server.client)
    ours = Job.fetch(server.put("work", "t0"), server.client, server.queue.serializer)
    more = {"depends_on": ours, "on_success": Callback(print), "rate_limit": RateLimit("neg", 1)}
    waiting = [theirs.enqueue("operator.neg", number, **more).id for number in range(2)]
    kept = {b"created_at", b"data", b"dependency_ids", b"failure_ttl", b"origin", b"success_callback_name", b"rate_limit_key"}
    before = [{name: found.get(name) for name in kept} for found in hashes(server, waiting)]
    running = worker()
    notes.wait("end", 1)
    until(lambda: len(theirs.job_ids) == 1)
    assert running.stop() == 0
    assert [{name: found.get(name) for name in kept} for found in hashes(server, waiting)] == before
    SimpleWorker([theirs], connection=server.client).work(burst=True, logging_level="ERROR")
    assert [Job.fetch(job_id, server.client).return_value() for job_id in waiting] == [0, -1]


def test_a_job_with_a_rate_limit_gives_its_place_to_the_next(server: Valkey, worker: Start, notes: Notes) -> None:
    """Also one that failed."""
    for number, function in enumerate(("work", "fail", "work")):
        server.put(function, f"t{number}", rate_limit=RateLimit("ours", 1))
    assert server.queue.count == 1
    running = worker()
    notes.wait("begin", 3)
    assert running.stop() == 0


def commands(server: Valkey) -> int:
    """How many commands the server has processed."""
    return int(server.client.info("stats")["total_commands_processed"])


def test_abandoned_jobs_of_another_application_stay_begun(server: Valkey) -> None:
    """Their workers have rules of their own: callbacks, retries."""
    registry = StartedJobRegistry("default", connection=server.client)
    theirs = Queue("default", connection=server.client).enqueue("operator.neg", 1)
    ours = server.put("work", "t0")
    for job_id in (theirs.id, ours):
        server.client.hset(Job.key_for(job_id), "status", "started")
        server.client.zadd(registry.key, {f"{job_id}:x": 1})
    before = hashes(server, [theirs.id])
    clean(server.queue, FUNCTIONS)
    assert hashes(server, [theirs.id]) == before
    assert server.client.zrange(registry.key, 0, -1) == [f"{theirs.id}:x".encode()]
    assert server.queue.failed_job_registry.get_job_ids(cleanup=False) == [ours]
    assert 0 < server.client.ttl(Job.key_for(ours)) <= FAILURE_TTL


def test_a_job_is_read_from_what_any_language_writes(server: Valkey, worker: Start, notes: Notes) -> None:
    """The call alone, as JSON, packed or plain; nothing else has to be there."""
    call = json.dumps([f"{JOBS}.work", None, ["t0"], {}]).encode()
    server.client.hset(Job.key_for("plain"), "data", call)
    server.client.hset(Job.key_for("packed"), "data", zlib.compress(call.replace(b"t0", b"t1")))
    server.client.rpush(server.queue.key, "plain", "packed")
    running = worker()
    notes.wait("end", 2)
    assert running.stop() == 0
