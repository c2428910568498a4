"""The worker process against a real Redis server: slots, stopping, dying and outages."""

import resource
import signal
import time
from pathlib import Path

import pytest
from rq.job import Job, JobStatus

from tests.support import pace
from tests.support.worker_process import Notes, Start, Valkey, until


def test_runs_as_many_jobs_at_once_as_it_has_slots_and_takes_no_more(
    server: Valkey, worker: Start, notes: Notes, tmp_path: Path
) -> None:
    """What it cannot run yet stays in the queue, for other workers."""
    running = worker(3)
    gate = tmp_path / "gate"
    for number in range(5):
        server.put("hold", f"t{number}", str(gate))
    notes.wait("begin", 3)
    assert len(notes.count("begin")) == 3
    assert server.queue.count == 2
    gate.touch()
    notes.wait("end", 5)
    assert running.stop() == 0


def test_restarts_under_load_strand_nothing_and_start_nothing_twice(server: Valkey, worker: Start, notes: Notes) -> None:
    """Two workers are stopped and started ten times each while jobs come in."""
    sent = 0
    for _ in range(10):
        for _ in range(50):
            server.put("work", f"t{sent}")
            sent += 1
        begun = len(notes.count("begin"))
        pair = worker.soon(), worker.soon()
        for each in pair:
            each.says("takes up to")
        notes.wait("begin", begun + 12)
        for each in pair:
            each.signal(signal.SIGTERM)
        assert [each.ends() for each in pair] == [0, 0]
        assert notes.count("begin") == notes.count("end")
        assert not server.client.llen(server.queue.intermediate_queue_key)
    assert server.queue.count > 0
    last = worker(32)
    notes.wait("end", sent)
    assert last.stop() == 0
    assert set(notes.count("begin").values()) == {1}
    assert server.queue.started_job_registry.get_job_count(cleanup=False) == 0
    assert server.queue.failed_job_registry.get_job_count(cleanup=False) == 0


def test_stop_is_noticed_within_seconds_when_idle_and_when_all_slots_are_busy(
    server: Valkey, worker: Start, notes: Notes, tmp_path: Path
) -> None:
    """What runs is waited for; what waits is left to others."""
    idle, asked = worker(), time.monotonic()
    assert idle.stop() == 0
    assert time.monotonic() - asked < pace.seconds(3)
    busy = worker(2)
    for number in range(3):
        server.put("hold", f"t{number}", str(tmp_path / "gate"))
    notes.wait("begin", 2)
    busy.signal(signal.SIGTERM)
    asked = time.monotonic()
    busy.says("stopping; 2 jobs run on")
    assert time.monotonic() - asked < pace.seconds(3)
    (tmp_path / "gate").touch()
    assert busy.ends() == 0
    assert len(notes.count("end")) == 2
    assert server.queue.count == 1


def test_second_signal_hands_over_what_runs_but_not_when_it_is_the_echo_of_the_first(
    server: Valkey, worker: Start, notes: Notes, tmp_path: Path
) -> None:
    """A terminal sends Ctrl-C to the whole group, so a parent's signal may follow at once."""
    stuck = worker(2)
    server.put("hold", "t0", str(tmp_path / "gate"))
    notes.wait("begin", 1)
    stuck.signal(signal.SIGINT)
    stuck.signal(signal.SIGTERM)
    stuck.says("stopping; 1 jobs run on")
    asked = time.monotonic()
    until(lambda: time.monotonic() - asked > 1.1)
    assert stuck.process.poll() is None
    assert stuck.stop() == 5
    assert not notes.count("end")


def test_job_of_a_worker_killed_between_taking_and_beginning_is_put_back(server: Valkey, worker: Start, notes: Notes) -> None:
    """Such a job is on the intermediate list only, where RQ would let it lie for minutes and then fail it."""
    dead = worker(1, KILL_AFTER="3")
    for number in range(6):
        server.put("work", f"t{number}")
    assert dead.ends() == -signal.SIGKILL
    assert server.client.llen(server.queue.intermediate_queue_key) == 1
    heir = worker()
    notes.wait("end", 6)
    heir.says("put back in line")
    assert set(notes.count("begin").values()) == {1}
    assert heir.stop() == 0
    assert not server.client.llen(server.queue.intermediate_queue_key)


@pytest.mark.parametrize("empty", [False, True], ids=["with its data", "empty"])
def test_jobs_outlive_a_redis_that_is_killed_and_comes_back(
    server: Valkey, worker: Start, notes: Notes, tmp_path: Path, *, empty: bool
) -> None:
    """They run on, end while it is away, are recorded when it is back, and the same worker takes the next ones."""
    survivor = worker(4)
    gate = tmp_path / "gate"
    jobs = [server.put("hold", f"t{number}", str(gate)) for number in range(3)]
    notes.wait("begin", 3)
    server.kill()
    survivor.says("Redis does not answer")
    gate.touch()
    notes.wait("end", 3)
    if empty:
        for path in (tmp_path / "appendonlydir").iterdir():
            path.unlink()
    server.start()
    for number in range(4):
        server.put("hold", f"u{number}", str(tmp_path / "second gate"))
    notes.wait("begin", 7)
    until(lambda: {status(server, job) for job in jobs} == {JobStatus.FINISHED})
    (tmp_path / "second gate").touch()
    notes.wait("end", 7)
    assert survivor.stop() == 0
    assert server.queue.started_job_registry.get_job_count(cleanup=False) == 0
    assert sum("Redis does not answer" in line["message"] for line in survivor.lines()) == 1


def test_redis_killed_again_and_again_under_load_loses_nothing(server: Valkey, worker: Start, notes: Notes) -> None:
    """Every job begins, once, also those that were being taken, begun or recorded when it died."""
    worker(4), worker(4)
    for number in range(150):
        server.put("work", f"t{number}")
    for round_ in range(1, 6):
        notes.wait("begin", 20 * round_)
        server.kill()
        server.start()
    notes.wait("end", 150)
    until(lambda: not server.queue.started_job_registry.get_job_count(cleanup=False))
    assert set(notes.count("begin").values()) == {1}
    assert not server.client.llen(server.queue.intermediate_queue_key)
    assert not server.queue.failed_job_registry.get_job_count(cleanup=False)


def status(server: Valkey, job_id: str) -> JobStatus | None:
    """The status of a job as RQ has it."""
    raw = server.client.hget(Job.key_for(job_id), "status")
    return JobStatus(raw.decode()) if raw else None


def test_starts_while_redis_is_away_and_stops_while_it_is_away(server: Valkey, worker: Start, notes: Notes) -> None:
    """Neither the order in which services start nor an outage at the end makes it fail."""
    server.kill()
    early = worker.soon()
    early.says("Redis does not answer")
    server.start()
    early.says("Redis answers again")
    server.put("work", "t0")
    notes.wait("end", 1)
    server.kill()
    early.signal(signal.SIGTERM)
    assert early.ends() == 0
    server.start()


def test_failing_jobs_leak_no_slot_and_are_kept_for_a_bounded_time(
    server: Valkey, worker: Start, notes: Notes, tmp_path: Path
) -> None:
    """Exceptions, attempts to exit and jobs that cannot be read are all the job's trouble, never the worker's.

    A call that cannot be read may be another application's, so it is the one thing that stays in line.
    """
    tough = worker(4)
    for number in range(100):
        server.put("fail", f"t{number}")
        server.put("leave", f"u{number}")
    for junk in (b"no such job", b"\xff\xfe"):
        server.client.rpush(server.queue.key, junk)
    garbled = server.put("work", "garbled")
    server.client.hset(Job.key_for(garbled), "data", b"not a pickle")
    odd = server.put("work", "odd")
    server.client.hset(Job.key_for(odd), "timeout", "soon")
    for number in range(4):
        server.put("hold", f"v{number}", str(tmp_path / "gate"))
    notes.wait("begin", 204)
    (tmp_path / "gate").touch()
    notes.wait("end", 4)
    assert tough.stop() == 0
    failed = server.queue.failed_job_registry
    assert failed.get_job_count(cleanup=False) == 200
    assert server.queue.job_ids == [garbled]
    week = 7 * 24 * 3600
    assert all(week - 60 < server.client.ttl(Job.key_for(job)) <= week for job in failed.get_job_ids(cleanup=False))
    assert not server.client.llen(server.queue.intermediate_queue_key)


def test_failure_is_one_line_with_the_task_and_without_secrets(server: Valkey, worker: Start, notes: Notes) -> None:
    """RQ alone would print a traceback and two lines per success."""
    chatty = worker()
    server.put("fail", "t0", "hunter2")
    server.put("tell", "t1")
    notes.wait("end", 1)
    assert chatty.stop() == 0
    about = {task: [line for line in chatty.lines() if line.get("task") == task] for task in ("t0", "t1")}
    assert [line["level"] for line in about["t0"]] == ["ERROR"]
    assert "raised ValueError: no luck with ***" in about["t0"][0]["message"]
    assert [line["message"] for line in about["t1"]] == ["told"]


def test_a_worker_without_a_free_descriptor_works_on_once_there_is_one(server: Valkey, worker: Start, notes: Notes) -> None:
    """Each connection to Redis is cut while no new one can be opened; the worker waits, as it does for Redis."""
    working = worker()
    pid = working.process.pid
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, before[1]))
    server.client.client_kill_filter(_type="normal", skipme=True)
    server.put("work", "t0")
    working.says("Too many open files")
    resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
    notes.wait("begin", 1)
    assert working.stop() == 0
