"""Row 5, with two engines: a worker that dies, alone or with its engine, leaves a task that is bound to that engine."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import frozen

from tests.faults.report import note
from tests.support import pace
from tests.support.containers import WHERE, library
from tests.support.fault_dockerd import Dockerd
from tests.support.fault_nursery import Child
from tests.support.fault_programs import talker
from tests.support.fault_proof import prove
from tests.support.fault_rows import Row
from tests.support.fault_site import Site
from tests.support.fault_wait import until
from tests.support.servers import Corner

pytestmark = [pytest.mark.long, pytest.mark.host]
LEASE = pace.seconds(3.0)


@frozen
class Pair:
    """A site whose workers use an engine of the test's own, and the queue of the one that uses the host's."""

    engine: Dockerd
    site: Site
    elsewhere: str

    def other(self, patience: float) -> Child:
        """A worker of the host's engine."""
        return self.site.worker("other", DOCKER_HOST=WHERE, QUEUE=self.elsewhere, ENGINE_PATIENCE=str(patience))

    def orphan(self) -> tuple[str, float]:
        """A task that runs on the engine of the test's own, whose worker has just been killed; when that was."""
        victim = self.site.worker("victim")
        task_id = self.site.submit(talker(4))
        self.site.reaches(task_id, "running")
        victim.signal(signal.SIGKILL)
        victim.dead()
        return task_id, time.monotonic()


@pytest.fixture
def pair(corner: Corner, tmp_path: Path) -> Iterator[Pair]:
    """Nothing runs yet but the engines."""
    environment = {**corner.environment, "LEASE_TTL": str(LEASE), "SWEEP_INTERVAL": "0.5"}
    with Dockerd() as engine, Site({**environment, "DOCKER_HOST": engine.host}, tmp_path) as site:
        yield Pair(engine, site, f"{corner.environment['QUEUE']}-elsewhere")


def test_a_task_whose_engine_has_no_worker_waits_for_one(pair: Pair) -> None:
    """The other engine's worker, which cannot see the container, leaves it alone, however often it sweeps."""
    other = pair.other(pace.seconds(600))
    task_id, died = pair.orphan()
    until(lambda: [at for at, point in other.points() if "sweep/" in point and at > died + 3 * LEASE])
    document = pair.site.document(task_id)
    assert (document["status"], document["attempt"]) == ("running", 1)
    back = time.monotonic()
    pair.site.worker("heir")
    pair.site.ended([task_id])
    assert pair.site.document(task_id)["attempt"] == 1
    note(Row.ANOTHER_ENGINE, prove(pair.site, task_id, slots=4), [time.monotonic() - back])


def test_a_task_whose_engine_is_lost_begins_anew_on_another(pair: Pair) -> None:
    """After ENGINE_PATIENCE; when the engine comes back after all, what it had left is removed."""
    pair.other(2 * LEASE)
    task_id, died = pair.orphan()
    pair.engine.stop(signal.SIGKILL)
    pair.site.ended([task_id])
    took = time.monotonic() - died
    document = pair.site.document(task_id)
    assert (document["attempt"], document["attempts"][0]["cause"]) == (2, "infrastructure")
    pair.engine.start()
    pair.site.worker("heir")
    held = prove(pair.site, task_id, slots={pair.elsewhere: 4}, again=Row.LOST_ENGINE.again)
    with library() as client:
        wanted = {"label": f"orchestrator.task={task_id}"}
        assert [
            *client.containers.list(all=True, ignore_removed=True, filters=wanted),
            *client.volumes.list(filters=wanted),
        ] == []
        now = int(time.time()) + 1
        long_ago = now - round(pace.seconds(120))
        told = client.api.events(since=long_ago, until=now, filters={**wanted, "event": "start"}, decode=True)
        assert len(list(told)) == 1, "the second attempt was started here, once"
    note(Row.LOST_ENGINE, held, [took], detail=f"ENGINE_PATIENCE was {2 * LEASE:.0f} s")
