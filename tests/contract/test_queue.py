"""The Queue's contract, on the queue in memory and on RQ."""

import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType

import pytest
from attrs import evolve
from rq import Queue as Rq
from rq import SimpleWorker
from rq.registry import FailedJobRegistry
from rq.serializers import JSONSerializer

from orchestrator.adapters.redis.client import redis_client
from orchestrator.adapters.redis.queue import RqQueue
from orchestrator.errors import InfrastructureError
from orchestrator.ports import JobInfo, QueueDepth, QueueHead
from orchestrator.settings.settings import Settings
from orchestrator.testing.queue import MemoryQueue
from orchestrator.worker.worker import ThreadWorker
from tests.contract.conftest import Line, _registered
from tests.support.planted import plant


class BurstWorker(SimpleWorker):
    """RQ's own worker, in the process of the test."""

    def _install_signal_handlers(self) -> None:
        pass


def install(monkeypatch: pytest.MonkeyPatch, run_task: Callable[[str], None]) -> None:
    """Stand in for the function that entries name."""
    module = ModuleType("orchestrator.tasks")
    module.run_task = run_task
    monkeypatch.setitem(sys.modules, module.__name__, module)


def work(settings: Settings) -> None:
    """Run everything that is in line, as ``rq worker --burst --serializer json`` does."""
    with redis_client(settings) as redis:
        BurstWorker([settings.queue], connection=redis, serializer=JSONSerializer).work(burst=True, logging_level="ERROR")


def test_tasks_wait_in_line(line: Line) -> None:
    """The first one in is the first one out; ids are any text."""
    names = ["t1", "b.c-d_e", "ŧ 🦀", "$(x):/\n"]
    for name in names:
        line.queue.enqueue(name)
    assert line.waiting() == names
    assert line.waiting() == []


def test_a_task_may_wait_twice(line: Line) -> None:
    """The claim decides, so no caller has to check first."""
    line.queue.enqueue("t1")
    line.queue.enqueue("t1")
    assert line.waiting() == ["t1", "t1"]


def test_many_threads_enqueue_at_once(line: Line) -> None:
    """Nothing is lost."""
    names = [f"t{number}" for number in range(100)]
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(line.queue.enqueue, names))
    assert sorted(line.waiting()) == sorted(names)


def test_the_head_of_the_line_can_be_seen(line: Line) -> None:
    """A sweep looks there before it enqueues again; looking takes nothing out."""
    for name in ("t1", "t2", "t3", "t1"):
        line.queue.enqueue(name)
    assert line.queue.first(2) == QueueHead(frozenset({"t1", "t2"}), whole=False)
    assert line.queue.first(4) == QueueHead(frozenset({"t1", "t2", "t3"}), whole=True)
    assert line.waiting() == ["t1", "t2", "t3", "t1"]
    assert line.queue.first(1000).task_ids == frozenset()


def test_the_end_of_the_line_can_be_waited_for() -> None:
    """The queue in memory has the consumer's end, too."""
    queue = MemoryQueue()
    begun = time.monotonic()
    assert queue.take(timeout=0.05) is None
    assert time.monotonic() - begun >= 0.05
    queue.enqueue("t1")
    assert queue.take(timeout=10) == "t1"


def test_an_entry_is_what_every_rq_worker_can_run(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A task in line twice is run twice, each entry on its own, and with RESULT_TTL 0 nothing of it stays in Redis."""
    ran: list[str] = []
    install(monkeypatch, ran.append)
    queue = RqQueue(evolve(settings, result_ttl=0))
    for name in ("t1", "t2", "t1"):
        queue.enqueue(name)
    work(settings)
    assert ran == ["t1", "t2", "t1"]
    with redis_client(settings) as redis:
        assert [*redis.scan_iter("rq:job:*")] == []
        assert FailedJobRegistry(settings.queue, connection=redis).get_job_count(cleanup=False) == 0


def test_an_entry_neither_times_out_nor_is_tried_again(settings: Settings) -> None:
    """Time limits and retries are decided elsewhere; what fails leaves a traceback for an hour."""
    RqQueue(settings).enqueue("t1")
    with redis_client(settings) as redis:
        (job,) = Rq(settings.queue, connection=redis, serializer=JSONSerializer).jobs
        assert (job.func_name, job.args, job.kwargs) == ("orchestrator.tasks.run_task", ["t1"], {})
        assert (job.timeout, job.result_ttl, job.failure_ttl, job.ttl) == (-1, 600, 3600, None)
        assert job.retries_left is None


def test_an_entry_tells_rqs_tools_what_it_is(settings: Settings) -> None:
    """On one line, cut to what people read, and without anything that a terminal would obey."""
    queue = RqQueue(settings)
    document = {"image": "python:3", "command": ["echo", "a\x1b[2J\n"], "labels": {"team": "blue", "odd": 5}}
    queue.enqueue("t1", JobInfo.of("t1", document, "d1"))
    queue.enqueue("t2", JobInfo.of("t2", {"image": 5, "command": "x" * 10_000, "labels": {"x": "y" * 5000}}, "d1"))
    queue.enqueue("t3")
    with redis_client(settings) as redis:
        first, second, third = Rq(settings.queue, connection=redis, serializer=JSONSerializer).jobs
    assert first.description == "t1 python:3 echo a\N{REPLACEMENT CHARACTER}[2J\N{REPLACEMENT CHARACTER}"
    assert first.meta == {"task_id": "t1", "deployment": "d1", "labels": {"team": "blue"}}
    assert (second.description, second.meta["labels"]) == (f"t2 {'x' * 196}…", {})
    assert (third.description, third.meta) == ("t3", {"task_id": "t3", "deployment": "", "labels": {}})


def test_a_task_of_another_deployment_is_not_in_line_for_this_one(line: Line) -> None:
    """It may have the same id. A job that does not name its deployment may belong to any."""
    line.queue.enqueue("t1", JobInfo("another"))
    line.queue.enqueue("t2", JobInfo("this"))
    line.queue.enqueue("t3")
    assert line.queue.first(10, "this") == QueueHead(frozenset({"t2", "t3"}), whole=True)
    assert line.queue.first(10) == QueueHead(frozenset({"t1", "t2", "t3"}), whole=True)


def test_what_was_taken_out_counts_until_it_is_begun(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise a sweep would enqueue it again. A started job is claimed, or its worker has died."""
    queue = RqQueue(settings)
    seen: list[frozenset[str]] = []
    install(monkeypatch, lambda _: seen.append(queue.first(10).task_ids))
    queue.enqueue("t1")
    with redis_client(settings) as redis:
        waiting = Rq(settings.queue, connection=redis, serializer=JSONSerializer)
        redis.rpoplpush(waiting.key, waiting.intermediate_queue_key)
        assert queue.first(10).task_ids == {"t1"}
        redis.rpoplpush(waiting.intermediate_queue_key, waiting.key)
    work(settings)
    assert seen == [frozenset()]
    assert queue.first(10).task_ids == frozenset()


def test_entries_of_strangers_are_passed_over(settings: Settings) -> None:
    """Other programs put jobs on the queue too, and records get lost or garbled."""
    queue = RqQueue(settings)
    with redis_client(settings) as redis:
        foreign = Rq(settings.queue, connection=redis, serializer=JSONSerializer)
        foreign.enqueue("orchestrator.tasks.run_task")
        foreign.enqueue("some.other.function", "t2", key="word")
        foreign.enqueue("orchestrator.tasks.run_task", task_id="t3")
        lost, garbled, bare = (foreign.enqueue("orchestrator.tasks.run_task", "x") for _ in range(3))
        redis.delete(lost.key)
        redis.hset(garbled.key, "data", b"\x80nonsense")
        redis.hset(bare.key, mapping={"timeout": "soon", "created_at": "then"})
        queue.enqueue("t1")
        assert queue.first(10).task_ids == {"t1", "t3", "x"}


def test_looking_at_the_line_runs_nothing_that_somebody_planted_there(settings: Settings, tmp_path: Path) -> None:
    """A sweep does so on an operator's machine, with an operator's rights."""
    queue, mark = RqQueue(settings), tmp_path / "mark"
    with redis_client(settings) as redis:
        job_ids = plant(redis, settings.queue, mark)
        redis.rpush(f"rq:queue:{settings.queue}:intermediate", *job_ids)
        queue.enqueue("t1")
        assert queue.first(100).task_ids == {"t1"}
    assert not mark.exists()


def test_a_failed_run_does_not_stop_the_line(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next entry of the same task is run all the same."""
    ran: list[str] = []

    def run_task(task_id: str) -> None:
        ran.append(task_id)
        raise InfrastructureError("mongodb", "away")

    install(monkeypatch, run_task)
    queue = RqQueue(settings)
    queue.enqueue("t1")
    queue.enqueue("t1")
    work(settings)
    assert ran == ["t1", "t1"]


def test_an_entry_that_is_moved_to_and_fro_is_always_seen(settings: Settings) -> None:
    """Workers that share the line do so all the time; a sweep that missed it would put the task in line again and again."""
    queue, over = RqQueue(settings), threading.Event()
    queue.enqueue("t1")

    def move() -> None:
        with redis_client(settings) as redis:
            line = Rq(settings.queue, connection=redis, serializer=JSONSerializer)
            while not over.is_set():
                redis.lmove(line.key, line.intermediate_queue_key)
                redis.lmove(line.intermediate_queue_key, line.key)

    mover = threading.Thread(target=move)
    mover.start()
    seen = [queue.first(10).task_ids for _ in range(1000)]
    over.set()
    mover.join()
    assert set(seen) == {frozenset({"t1"})}


def test_the_depth_of_a_queue_is_its_jobs_and_the_age_of_the_first(line: Line) -> None:
    """Also of a task that is there twice; looking takes nothing out."""
    assert line.queue.depth() == QueueDepth(0, None)
    begun = time.time()
    for name in ("t1", "t2", "t1"):
        line.queue.enqueue(name)
    depth = line.queue.depth()
    assert depth.jobs == 3
    assert depth.oldest is not None
    assert 0 <= depth.oldest <= time.time() - begun + 0.001
    assert line.waiting() == ["t1", "t2", "t1"]


def test_the_workers_of_a_queue_are_counted(line: Line) -> None:
    """The present workers. A worker that has left does not count."""
    assert line.queue.workers() == 0
    with line.listening():
        assert line.queue.workers() == 1
    assert line.queue.workers() == 0


def test_workers_tell_what_they_run(settings: Settings) -> None:
    """From its first heartbeat on, with what it holds now; one that has left is not told of."""
    held = ["t1", "t2"]
    with redis_client(settings) as redis:
        worker = ThreadWorker(redis, settings.queue, 4, "here", lambda: None, engine=lambda: "e1", held=lambda: held)
        worker.beat()
        (record,) = RqQueue(settings).records()
        assert (record.name, record.host, record.pid) == (worker.name, socket.gethostname(), os.getpid())
        assert (record.engine, record.slots, record.tasks, record.state) == ("e1", 4, ("t1", "t2"), "busy")
        assert abs(datetime.now(UTC) - record.last_heartbeat) < timedelta(minutes=1)
        held.clear()
        worker.request_stop()
        worker.beat()
        (record,) = RqQueue(settings).records()
        assert (record.tasks, record.state) == ((), "draining")
        worker.register_death()
        assert RqQueue(settings).records() == []


def test_a_worker_of_another_kind_is_told_of_as_far_as_it_says(settings: Settings) -> None:
    """RQ's own worker has neither slots nor an engine; what is no record is passed over."""
    with _registered(settings), redis_client(settings) as redis:
        redis.sadd(f"rq:workers:{settings.queue}", "rq:worker:gone", "rq:worker:garbled")
        redis.set("rq:worker:garbled", "x")
        (record,) = RqQueue(settings).records()
        redis.delete("rq:worker:garbled")
    assert (record.engine, record.slots, record.tasks, record.state) == ("", 0, (), "idle")
