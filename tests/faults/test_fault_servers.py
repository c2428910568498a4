"""Rows 11, 12 and 13: object storage, MongoDB and Redis go away, come back, stall, or lose a reply."""

import shutil
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import count
from pathlib import Path

import pytest

from orchestrator.embedded import Embedded
from orchestrator.metrics import declarations as metrics
from tests.faults.report import long, note
from tests.faults.test_fault_worker import taken_by
from tests.support import pace
from tests.support.fault_detour import Detour, detoured
from tests.support.fault_metrics import shows, with_metrics
from tests.support.fault_programs import flood, talker
from tests.support.fault_proof import prove
from tests.support.fault_proxy import http_error, http_reply
from tests.support.fault_rows import Row
from tests.support.fault_site import Site
from tests.support.fault_wait import until
from tests.support.servers import Corner

DOWN = 120.0 if long() else 3.0
"""Seconds for which a server stays away."""
SLOTS = 4


@pytest.fixture
def detour(corner: Corner, tmp_path: Path) -> Iterator[Detour]:
    """Shared servers behind proxies of this test's own."""
    with detoured(corner, tmp_path) as detour:
        yield detour


FULL = b"<Error><Code>XMinioStorageFull</Code><Message>Storage is full.</Message></Error>"
S3_FAULTS: Mapping[Row, Mapping[str, object]] = {
    Row.S3_503: {"answer": http_error(503), "times": 4},
    Row.S3_FULL: {"answer": http_reply(507, FULL, "application/xml"), "times": 4},
    Row.S3_RESETS: {"cut": True, "times": 4},
    Row.S3_LOSES: {"lose_reply": True, "times": 2},
    Row.S3_STALLS: {"stall_reply": 20.0, "times": 1},
}
"""The client itself makes three tries, so more than three failures reach the worker's own patience."""


@pytest.mark.parametrize("row", S3_FAULTS, ids=lambda row: row.name)
@pytest.mark.long
def test_object_storage_in_trouble_delays_the_end_and_loses_nothing(detour: Detour, row: Row) -> None:
    """The log waits on disk; in the end there is one object for each stream, and it is whole."""
    site = detour.site
    site.worker("worker")
    rule = detour.s3.add(rb"^PUT /\S+/stdout-", **S3_FAULTS[row])
    began = time.monotonic()
    tasks = [site.submit(flood(300_000))]
    site.ended(tasks)
    took = time.monotonic() - began
    assert rule.struck == rule.times
    _one_object_each(site, tasks)
    note(row, prove(site, *tasks, slots=SLOTS), [took], detail=f"{rule.struck} of its requests")


def test_object_storage_away_is_waited_for(detour: Detour) -> None:
    """Tasks that ended meanwhile wait in uploading, and their containers' output waits on disk."""
    site = detour.site
    site.worker("worker", **(worker := with_metrics()))
    tasks = [site.submit(talker(1)) for _ in range(SLOTS)]
    site.reaches(tasks[0], "running")
    detour.s3.go_down()
    until(lambda: all(site.status(task_id) == "uploading" for task_id in tasks))
    time.sleep(DOWN)
    assert site.spooled()
    detour.s3.come_up()
    back = time.monotonic()
    site.ended(tasks)
    recovered = time.monotonic() - back
    shows(worker, metrics.SERVICE_ERRORS, "s3")
    shows(worker, metrics.STEP_ERRORS, "upload", "s3")
    _one_object_each(site, tasks)
    note(Row.S3_DOWN, prove(site, *tasks, slots=SLOTS), [recovered], detail=f"for {DOWN:.0f} s")


def test_a_lost_reply_of_any_write_to_mongodb_applies_it_once(detour: Detour) -> None:
    """The reply of each n-th update is lost, for every n of a run: each transition is there once."""
    site = detour.site
    worker = site.worker("worker", SWEEP_INTERVAL="1000")
    tasks, struck = [], 0
    for number in count() if long() else range(5):
        detour.mongo.rules.clear()
        rule = detour.mongo.add(rb"\x02update\x00", skip=number, lose_reply=True)
        tasks.append(site.submit(talker(0.2)))
        site.ended(tasks[-1:])
        until(lambda: site.document(tasks[-1]).get("settled"))
        if not rule.struck:
            break
        struck += 1
    assert worker.alive
    assert struck >= 5
    detour.mongo.rules.clear()
    site.worker("sweeper", QUEUE="nobody")
    note(Row.MONGO_LOSES, prove(site, *tasks, slots=SLOTS), runs=struck)


def test_mongodb_away_in_every_state_stalls_the_run(detour: Detour) -> None:
    """Containers run on; what was done is stored when it is back, once, although a second worker wants what has run out."""
    site, lease = detour.site, pace.seconds(10 if long() else 3)
    site.worker("worker", LEASE_TTL=str(lease))
    site.survivor("contender", LEASE_TTL=str(lease), SWEEP_INTERVAL="0.2")
    recovered = []
    states = ("queued", "running", "collecting", "uploading") if long() else ("running",)
    for state in states:
        tasks = [site.submit(talker(1.5)) for _ in range(SLOTS)]
        if state != "queued":
            until(lambda tasks=tasks, state=state: any(site.status(task_id) == state for task_id in tasks))
        detour.mongo.go_down()
        time.sleep(lease + 2)
        detour.mongo.come_up()
        back = time.monotonic()
        site.ended(tasks)
        recovered.append(time.monotonic() - back)
        prove(site, *tasks)
    note(Row.MONGO_DOWN, prove(site, *tasks, slots=SLOTS), recovered, detail=f"for {lease + 2:.0f} s in {', '.join(states)}")


@pytest.mark.long
def test_a_worker_that_mongodb_is_away_from_loses_its_tasks_to_another(detour: Detour) -> None:
    """The other one adopts the programs, and those that end meanwhile; the first one lets go of all when MongoDB is back."""
    site, lease = detour.site, pace.seconds(3)
    cut_off = site.worker("cut-off", LEASE_TTL=str(lease), SWEEP_INTERVAL="1000")
    direct = {"MONGO_URI": site.direct["MONGO_URI"], "LEASE_TTL": str(lease), "SWEEP_INTERVAL": "0.2"}
    contender = site.survivor("contender", **direct)
    tasks = [site.submit(talker(seconds)) for seconds in (4, 4, 20, 20)]
    for task_id in tasks:
        site.reaches(task_id, "running")
    detour.mongo.go_down()
    for task_id in tasks:
        taken_by(site, contender, task_id)
    site.ended(tasks[:2])
    detour.mongo.come_up()
    back = time.monotonic()
    until(lambda: cut_off.said().count("let go") >= len(tasks))
    site.ended(tasks)
    took = time.monotonic() - back
    assert [site.document(task_id)["attempt"] for task_id in tasks] == [1] * len(tasks)
    note(Row.MONGO_CONTESTED, prove(site, *tasks, slots=SLOTS), [took])


@pytest.mark.parametrize("row", [Row.REDIS_KEPT, Row.REDIS_EMPTY] if long() else [Row.REDIS_EMPTY], ids=lambda row: row.name)
def test_redis_away_while_tasks_run_and_wait(own_servers: Embedded, own_corner: Corner, tmp_path: Path, row: Row) -> None:
    """Running tasks end, and their events come afterwards. Tasks that waited in the queue are enqueued again."""
    with Site(own_corner.environment, tmp_path) as site:
        site.worker("worker", CONCURRENCY="2")
        tasks = [site.submit(talker(3)) for _ in range(2)]
        for task_id in tasks:
            site.reaches(task_id, "running")
        waiting = [site.submit(talker(0.5)) for _ in range(3)]
        redis = own_servers.processes["valkey"]
        redis.stop(grace=0)
        if row is Row.REDIS_EMPTY:
            shutil.rmtree(own_servers.folder / "valkey" / "appendonlydir")
        site.ended(tasks)
        time.sleep(DOWN)
        redis.start()
        redis.await_ready(pace.seconds(30))
        back = time.monotonic()
        site.ended(waiting)
        recovered = time.monotonic() - back
        note(row, prove(site, *tasks, *waiting, slots=2), [recovered], detail=f"after {DOWN:.0f} s")


@pytest.mark.long
def test_servers_killed_one_after_the_other_lose_nothing(own_servers: Embedded, own_corner: Corner, tmp_path: Path) -> None:
    """SIGKILL for each, restarted on its data, while tasks come in."""
    with Site(own_corner.environment, tmp_path) as site:
        site.worker("worker")
        tasks, recovered = [], []
        for name in ("secantusdb", "seaweedfs", "valkey") * 3:
            tasks += [site.submit(talker(2)) for _ in range(SLOTS)]
            site.reaches(tasks[-1], "running")
            server = own_servers.processes[name]
            server.stop(grace=0)
            time.sleep(3)
            server.start()
            server.await_ready(pace.seconds(30))
            back = time.monotonic()
            site.ended(tasks)
            recovered.append(time.monotonic() - back)
        note(Row.SERVERS, prove(site, *tasks, slots=SLOTS), recovered)


def _one_object_each(site: Site, tasks: list[str]) -> None:
    """No attempt to upload has left a second object."""
    bucket = site.settings.minio_bucket
    with_logs = site.services.logs._client()
    for task_id in tasks:
        keys = [str(found.object_name) for found in with_logs.list_objects(bucket, prefix=f"{task_id}/", recursive=True)]
        kinds = Counter(key.rpartition("/")[2].partition("-")[0] for key in keys)
        assert kinds in ({"stdout": 1, "stderr": 1}, {"stdout": 1, "stderr": 1, "series": 1}), keys
