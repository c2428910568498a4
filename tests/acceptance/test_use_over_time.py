"""What a program uses, seen while it runs and afterwards: through a real worker, engine and servers."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from orchestrator.client import Client
from orchestrator.embedded import Embedded
from orchestrator.ports import Point
from orchestrator.task.event import Event
from orchestrator.wiring import connect
from statemachine import State
from tests.support import pace
from tests.support.installation import Installation, one_worker
from tests.support.worker_process import until

ENOUGH = 2
"""Points after which the program has run for long enough."""
BUSY = "while :; do :; done"


@pytest.fixture(scope="module")
def installation(servers: Embedded, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """One worker for all tests of this file."""
    with one_worker(servers, tmp_path_factory.mktemp("use")) as installation:
        yield installation


@pytest.fixture
def client(installation: Installation) -> Iterator[Client]:
    """A client of it."""
    with closing(Client(connect(installation.settings))) as client:
        yield client


def test_what_a_program_uses_is_followed_kept_and_removed(installation: Installation, client: Client) -> None:
    """The points that came are among those that are stored, also of a task that is cancelled; a worker tells what it runs."""
    task_id = installation.submit(BUSY)
    seen: list[Point] = []
    for item in client.follow(task_id, samples=True):
        if isinstance(item, Point):
            seen.append(item)
            if len(seen) == ENOUGH:
                client.cancel(task_id)
            told = client.running()
            assert [(task.id, point is not None) for task, point in told] in ([(task_id, True)], [])
            assert {task for worker in client.stats().workers for task in worker.tasks} <= {task_id}
    task = client.get(task_id)
    assert task.metrics
    assert task.metrics.series
    series = client.series(task_id)
    assert series
    times = series.column("t")
    assert (series.attempt, len(times)) == (1, task.metrics.series.points)
    assert times == sorted(times)
    assert 0 <= times[0] < times[-1] <= task.metrics.duration_s + pace.seconds(1)
    assert max(series.column("cpu_percent")) > 10
    assert max(series.column("memory_bytes")) > 0
    assert len(seen) >= ENOUGH
    assert {point.t for point in seen} <= set(times)
    until(lambda: client.get(task_id).settled)
    client.delete(task_id)
    assert [*client.services.logs.listed(f"{task_id}/")] == []


def test_of_a_short_program_nothing_is_sent(installation: Installation, client: Client) -> None:
    """Where it ends before the second look nothing is stored either; figures tell of it."""
    task_id = installation.submit("true")
    events = [item for item in client.follow(task_id, samples=True) if not isinstance(item, Event)]
    assert events == []
    task = client.get(task_id)
    assert task.status is State.SUCCEEDED
    assert task.metrics
    kept = [found.key for found in client.services.logs.listed(f"{task_id}/") if "series" in found.key]
    assert kept == ([task.metrics.series.key] if task.metrics.series else [])
    stats = client.stats()
    assert stats.ends[State.SUCCEEDED] >= 1
    (worker,) = stats.workers
    assert (worker.slots, worker.pid > 0, worker.host != "") == (installation.settings.concurrency, True, True)
    until(lambda: client.stats().workers[0].engine != "", 30)
