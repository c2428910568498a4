"""What a worker does for its queue, against a real Redis server."""

import signal
import threading
from pathlib import Path

import pytest
from rq.job import Job, JobStatus

from orchestrator.adapters.redis.job import FAILURE_TTL
from orchestrator.worker.redis_retry import RedisRetry, connect
from orchestrator.worker.rq_maintenance import Rescue, clean
from orchestrator.worker.rq_records import JOB_TTL, Bookkeeper
from tests.support import pace
from tests.support.worker_process import FUNCTIONS, Notes, Start, Valkey, until


@pytest.fixture
def books(server: Valkey) -> Bookkeeper:
    """A worker without its loop."""
    return Bookkeeper(connect(server.url), "default", "w", RedisRetry(lambda: True))


def take(server: Valkey) -> bytes:
    """Do what a worker does first."""
    return server.client.blmove(server.queue.key, server.queue.intermediate_queue_key, 1)


def test_entry_left_on_its_way_goes_back_to_the_head_at_the_third_look_and_once(server: Valkey) -> None:
    """Two workers look; one puts it back."""
    first, second = server.put("nothing", "t0"), server.put("nothing", "t1")
    take(server)
    rescues = Rescue(server.queue), Rescue(server.queue)
    for rescue in 2 * rescues:
        rescue()
    assert server.queue.job_ids == [second]
    for rescue in rescues:
        rescue()
    assert server.queue.job_ids == [first, second]
    assert not server.client.llen(server.queue.intermediate_queue_key)


def test_looks_at_an_entry_that_comes_again_are_counted_anew(server: Valkey) -> None:
    """The same job may be delivered twice, quickly each time."""
    server.put("nothing", "t0")
    rescue, entry = Rescue(server.queue), take(server)
    rescue()
    rescue()
    server.client.delete(server.queue.intermediate_queue_key)
    rescue()
    server.client.rpush(server.queue.intermediate_queue_key, entry)
    rescue()
    assert server.queue.job_ids == []


def test_looks_before_an_outage_do_not_count(server: Valkey) -> None:
    """The entry's worker may pause for a second before it tries again."""
    server.put("nothing", "t0")
    link = RedisRetry(lambda: False)
    rescue, entry = Rescue(server.queue, outages=lambda: link.outages), take(server)
    for _ in range(2):
        link.attempt(rescue)
    server.kill()
    link.attempt(rescue)
    server.start()
    for _ in range(2):
        link.attempt(rescue)
    assert server.client.lrange(server.queue.intermediate_queue_key, 0, -1) == [entry]
    link.attempt(rescue)
    assert server.queue.job_ids == [entry.decode()]


def test_beginning_moves_a_job_from_its_way_to_the_started_ones_in_one_step(server: Valkey, books: Bookkeeper) -> None:
    """There is no moment at which a job is in neither place, and RQ's own tools see it."""
    job = Job.fetch(server.put("nothing", "t0"), server.client)
    execution = books.begin(job, take(server))
    books.beat()
    assert not server.client.llen(server.queue.intermediate_queue_key)
    assert server.queue.started_job_registry.get_job_ids(cleanup=False) == [job.id]
    assert job.get_status() is JobStatus.STARTED
    assert [found.id for found in job.get_executions()] == [execution.id]
    assert server.client.smembers(Bookkeeper.redis_workers_keys) == {books.key.encode()}


def test_beginning_waits_for_a_redis_that_is_away(server: Valkey) -> None:
    """Otherwise the job would be put back in line while it runs."""
    books = Bookkeeper(connect(server.url), "default", "w", RedisRetry(lambda: False))
    job = Job.fetch(server.put("nothing", "t0"), server.client)
    entry = take(server)
    server.kill()
    beginning = threading.Thread(target=books.begin, args=(job, entry))
    beginning.start()
    until(lambda: books.executions)
    server.start()
    beginning.join(pace.seconds(5))
    assert server.queue.started_job_registry.get_job_ids(cleanup=False) == [job.id]
    assert not server.client.llen(server.queue.intermediate_queue_key)


def test_job_of_a_dead_worker_is_buried_and_not_run_again(server: Valkey, books: Bookkeeper) -> None:
    """RQ's records only: what becomes of the task is decided elsewhere."""
    job = Job.fetch(server.put("nothing", "t0"), server.client)
    execution = books.begin(job, take(server))
    clean(books.queue, FUNCTIONS)
    assert job.get_status() is JobStatus.STARTED
    server.client.zadd(server.queue.started_job_registry.key, {execution.composite_key: 1})
    clean(books.queue, FUNCTIONS)
    assert job.get_status() is JobStatus.FAILED
    assert 0 < server.client.ttl(job.key) <= FAILURE_TTL
    assert server.queue.job_ids == []
    assert not server.client.exists(server.queue.registry_cleaning_key)


def test_killed_worker_leaves_nothing_in_redis_for_ever(server: Valkey, worker: Start, notes: Notes, tmp_path: Path) -> None:
    """What is not gone by itself in an hour is removed by another worker; only the list of queues is RQ's own."""
    victim = worker(1)
    server.put("hold", "t0", str(tmp_path / "gate"))
    notes.wait("begin", 1)
    victim.signal(signal.SIGKILL)
    victim.ends()
    lasting = {key for key in server.client.keys("*") if server.client.ttl(key) < 0}
    assert lasting == {b"rq:queues", b"rq:workers", b"rq:workers:default", b"rq:wip:default"}
    assert all(server.client.ttl(key) <= JOB_TTL for key in server.client.keys("*"))
    server.client.delete(*set(server.client.keys("*")) - lasting)
    for entry in server.client.zrange("rq:wip:default", 0, -1):
        server.client.zadd("rq:wip:default", {entry: 1})
    clean(server.queue, FUNCTIONS)
    assert server.client.keys("*") == [b"rq:queues"]


def test_cleaning_survives_garbage_in_the_registries(server: Valkey, books: Bookkeeper) -> None:
    """RQ's own worker would end itself, at each start."""
    server.client.zadd(server.queue.started_job_registry.key, {"a:b:c": 1})
    clean(books.queue, FUNCTIONS)
    assert not server.client.exists(server.queue.registry_cleaning_key)
