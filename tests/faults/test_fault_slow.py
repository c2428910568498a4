"""A database that takes 4 s for each answer: tasks stay with their worker, although another one looks for lost ones."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.report import note
from tests.faults.test_fault_worker import taken_by
from tests.support.fault_detour import Detour, detoured
from tests.support.fault_programs import talker
from tests.support.fault_proof import prove
from tests.support.fault_rows import Row
from tests.support.servers import Corner

DELAY = 4.0
SLOW = rb"\x02(update|find)\x00"
"""What a request has that reads or writes tasks."""


@pytest.fixture
def detour(corner: Corner, tmp_path: Path) -> Iterator[Detour]:
    """Shared servers behind proxies of this test's own."""
    with detoured(corner, tmp_path) as detour:
        yield detour


def test_tasks_do_not_change_hands_because_the_database_is_slow(detour: Detour) -> None:
    """With the default lease of 10 s; the worker that would take them over reaches the database without a detour."""
    site, direct = detour.site, {name: detour.site.direct[name] for name in ("MONGO_URI", "REDIS_URL")}
    worker = site.worker("slow", CONCURRENCY="2")
    rule = detour.mongo.add(SLOW, times=sys.maxsize, stall_reply=DELAY)
    tasks = [site.submit(talker(12)) for _ in range(2)]
    for task_id in tasks:
        taken_by(site, worker, task_id)
    tokens = [site.document(task_id)["lease"]["token"] for task_id in tasks]
    heir = site.survivor(SWEEP_INTERVAL="0.5", **direct)
    site.ended(tasks)
    documents = [site.document(task_id) for task_id in tasks]
    assert rule.struck > 10
    assert [(each["status"], each["attempt"], each["worker"]) for each in documents] == [("succeeded", 1, "slow")] * 2
    assert [each["lease"]["token"] for each in documents] == tokens
    assert "adopt" not in heir.said()
    assert "lease lost" not in worker.said()
    detour.mongo.rules.clear()
    note(Row.SLOW_DATABASE, prove(site, *tasks, slots=2), runs=len(tasks))
