"""MongoDB fails over while a task runs: what no majority has is not believed, is written again, and is announced only then."""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.support.fault_detour import Detour, detoured
from tests.support.fault_programs import talker
from tests.support.fault_proof import prove
from tests.support.mongo_wire import NOT_PRIMARY, ROLLED_BACK, UPDATE, EveryOther
from tests.support.servers import Corner


@pytest.fixture
def detour(corner: Corner, tmp_path: Path) -> Iterator[Detour]:
    """Shared servers behind proxies of this test's own."""
    with detoured(corner, tmp_path) as detour:
        yield detour


@pytest.mark.parametrize("answer", [NOT_PRIMARY, ROLLED_BACK], ids=["not primary", "rolled back"])
def test_a_failover_at_any_write_of_a_run_neither_loses_nor_repeats_a_step(
    detour: Detour, answer: Mapping[str, object]
) -> None:
    """Each write is refused or undone at its first try; the program runs once, and events are as the history is."""
    site, every_other = detour.site, EveryOther(answer)
    uri = site.environment["MONGO_URI"] + "&serverMonitoringMode=poll&heartbeatFrequencyMS=500"
    site.worker("worker", SWEEP_INTERVAL="1000", CONCURRENCY="1", MONGO_URI=uri)
    detour.mongo.add(UPDATE, times=sys.maxsize, reply=every_other)
    task_id = site.submit(talker(1))
    site.ended([task_id])
    document = site.document(task_id)
    assert (document["status"], document["attempt"], document["seq"]) == ("succeeded", 1, 4)
    assert [*site.starts.of(task_id).values()] == [1]
    assert every_other.answered >= 6
    detour.mongo.rules.clear()
    prove(site, task_id, slots=1)
