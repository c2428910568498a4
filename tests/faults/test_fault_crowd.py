"""Rows 20, 21 and 22: other load on the same machine: a busy engine, a shared queue, no descriptor left."""

import resource
import signal
import time
import uuid
from contextlib import ExitStack

import pytest
from rq import Queue
from rq.job import Job

from orchestrator.adapters.redis.client import redis_client
from orchestrator.metrics import declarations as metrics
from tests.faults.report import long, note
from tests.faults.test_fault_worker import taken_by
from tests.support import pace
from tests.support.containers import IMAGE, LABEL
from tests.support.fault_metrics import shows, with_metrics
from tests.support.fault_nursery import Child
from tests.support.fault_programs import Program, flood, talker
from tests.support.fault_proof import prove
from tests.support.fault_rows import Row
from tests.support.fault_site import Site
from tests.support.fault_wait import until
from tests.support.noise import Noise

REMEMBERED = 256
"""So many events an engine remembers, of all containers."""
BUSY = 20.0
"""Events a second."""
KILLED = Program("echo started; kill -KILL $$", b"started\n", b"", "failed", "signal", whole={"signal"})
ENDINGS = (talker(0.3), talker(0.3, code=255), KILLED) if long() else (talker(0.3),)
MOMENTS = {"running": "job/engine.wait#1", "collecting": "job/spool.seal#1", "uploading": "job/logs.put#1"}
SCARCE = 8
"""A limit below every descriptor that is opened next, for the worker has more."""
WITHOUT = 6.0
"""Seconds without descriptors; less than RETRY_BUDGET."""


@pytest.mark.host
@pytest.mark.long
def test_a_program_that_ended_on_a_busy_engine_is_not_run_again(site: Site) -> None:
    """The engine has forgotten each end before the worker, or the one that adopts the task, asks for it."""
    heir = site.survivor(LEASE_TTL=str(pace.seconds(3)))
    workers: list[tuple[Child, str]] = []
    for number, program in enumerate([*ENDINGS, *ENDINGS]):
        queue, alone = f"{site.environment['QUEUE']}-{number}", number < len(ENDINGS)
        ttl = pace.seconds(120 if alone else 3)
        what = {"QUEUE": queue, "LEASE_TTL": str(ttl), "SWEEP_INTERVAL": "1000", "CONCURRENCY": "1"}
        child = site.worker(f"busy-{number}", "job/engine.wait#1", "SIGSTOP", **what)
        workers.append((child, site.submit(program, queue)))
    for child, task_id in workers:
        until(lambda child=child: child.stopped)
        until(lambda task_id=task_id: _state(site, task_id) == "exited")
    with Noise(BUSY) as noise:
        noise.burst(2 * REMEMBERED)
        for number, (child, _) in enumerate(workers):
            child.signal(signal.SIGCONT if number < len(ENDINGS) else signal.SIGKILL)
        tasks = [task_id for _, task_id in workers]
        site.ended(tasks)
    for task_id in tasks[len(ENDINGS) :]:
        taken_by(site, heir, task_id)
    slots = {f"{site.environment['QUEUE']}-{number}": 1 for number in range(len(ENDINGS))}
    held = prove(site, *tasks, slots={**slots, f"{site.environment['QUEUE']}-survivor": 4})
    note(Row.BUSY_ENGINE, held, runs=len(tasks), detail="exit 0, exit 255, KILL by itself")


@pytest.mark.host
def test_neighbours_on_one_queue_and_one_engine_lose_nothing(neighbours: tuple[Site, Site]) -> None:
    """Each runs its own tasks, and removes neither the other's containers nor a stranger's; foreign jobs stay as they are."""
    one, other = neighbours
    with redis_client(one.settings) as redis, ExitStack() as stack:
        line = Queue(one.environment["QUEUE"], connection=redis)
        foreign = [line.enqueue("operator.neg", number).id for number in range(5)]
        before = [redis.hgetall(Job.key_for(job_id)) for job_id in foreign]
        stranger = one.docker.containers.run(
            IMAGE, "sleep 600", detach=True, network_disabled=True, labels={LABEL: uuid.uuid4().hex}
        )
        stack.callback(stranger.remove, force=True)
        workers = [with_metrics() for _ in neighbours]
        for site, worker in zip(neighbours, workers, strict=True):
            site.worker("worker", **worker)
        tasks = [(site, site.submit(talker(5))) for _ in range(2) for site in neighbours]
        for site in neighbours:
            site.ended([task_id for at, task_id in tasks if at is site])
        causes = [site.document(task_id)["cause"] for site, task_id in tasks]
        assert causes == [None] * len(tasks), f"lost to a neighbour: {causes}"
        for site in neighbours:
            held = prove(site, *[task_id for at, task_id in tasks if at is site], slots=4)
        until(lambda: sorted(line.job_ids) == sorted(foreign))
        assert [redis.hgetall(Job.key_for(job_id)) for job_id in foreign] == before
        for worker in workers:
            shows(worker, metrics.FOREIGN)
        stranger.reload()
        assert stranger.status == "running"
    assert other.document(tasks[1][1])["attempt"] == 1
    note(Row.NEIGHBOURS, held, runs=len(tasks))


@pytest.mark.long
def test_a_worker_without_descriptors_goes_on_once_it_has_some(site: Site) -> None:
    """Every file, connection and pipe that it wants to open is refused for a while."""
    frozen: dict[str, tuple[Child, str]] = {}
    for moment, point in MOMENTS.items():
        queue = f"{site.environment['QUEUE']}-{moment}"
        child = site.worker(moment, point, "SIGSTOP", QUEUE=queue, LEASE_TTL=str(pace.seconds(60)))
        frozen[moment] = child, site.submit(flood(100_000) if moment != "running" else talker(2), queue)
    for child, _ in frozen.values():
        until(lambda child=child: child.stopped)
    limits = {child.pid: resource.prlimit(child.pid, resource.RLIMIT_NOFILE) for child, _ in frozen.values()}
    for child, _ in frozen.values():
        resource.prlimit(child.pid, resource.RLIMIT_NOFILE, (SCARCE, limits[child.pid][1]))
        child.signal(signal.SIGCONT)
    time.sleep(WITHOUT)
    for pid, limit in limits.items():
        resource.prlimit(pid, resource.RLIMIT_NOFILE, limit)
    back = time.monotonic()
    tasks = [task_id for _, task_id in frozen.values()]
    site.ended(tasks)
    took = time.monotonic() - back
    assert all(child.alive for child, _ in frozen.values())
    held = prove(site, *tasks, slots={f"{site.environment['QUEUE']}-{moment}": 4 for moment in MOMENTS})
    note(Row.NO_DESCRIPTORS, held, [took], runs=len(tasks), detail=f"for {WITHOUT:.0f} s")


def _state(site: Site, task_id: str) -> str:
    (container,) = site.docker.containers.list(all=True, filters={"label": f"orchestrator.task={task_id}"})
    return str(container.status)
