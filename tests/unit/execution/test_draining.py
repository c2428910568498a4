"""A worker that is told to stop lets nobody wait for room any more, and keeps nobody from taking what waited."""

import threading
from pathlib import Path

import pytest
from attrs import evolve

from orchestrator.errors import Postponed
from orchestrator.execution.admission import Admission, Capacity, Share
from statemachine import State
from tests.support import pace
from tests.support.worker_process import until
from tests.support.world import World

HOST = Share(2.0, 1000)
LONG = pace.seconds(20.0)


@pytest.fixture
def full() -> Admission:
    """One task has all the memory, and another stands in line."""
    admission = Admission(lambda: Capacity.of(HOST, 4.0, 0))
    admission.ask("one", Share(1, 1000))
    admission.ask("two", Share(1, 1000))
    return admission


def test_whoever_waits_for_room_is_sent_away_at_once(full: Admission) -> None:
    """It is out of the line, so that it holds up nobody behind it."""
    ends: list[BaseException] = []

    def wait() -> None:
        try:
            full.wait("two", lambda: False)
        except Postponed as end:
            ends.append(end)

    waiting = threading.Thread(target=wait, daemon=True)
    waiting.start()
    full.close()
    waiting.join(LONG)
    assert [str(end) for end in ends] == ["there was no room before the worker was to stop"]
    assert full.ask("three", Share(1, 1000)) is False
    full.leave("one")
    assert [*full._line.running] == ["three"]


def test_whoever_comes_later_does_not_wait_but_has_what_room_there_is(full: Admission) -> None:
    """A task that was taken just before may still run."""
    full.close()
    with pytest.raises(Postponed):
        full.wait("two", lambda: False)
    full.leave("one")
    assert full.ask("three", Share(1, 1000))
    full.wait("three", lambda: False)


def test_a_cancelled_task_is_cancelled_and_not_postponed(full: Admission) -> None:
    """Its end is known, and needs no room."""
    full.close()
    full.wait("two", lambda: True)


@pytest.mark.parametrize("host", ["a", "b"])
def test_a_task_that_waited_is_as_it_was_and_free_for_the_next_worker(tmp_path: Path, host: str) -> None:
    """No transition, no attempt, no lease to wait out: another worker, on any host, runs it while this one drains."""
    world = World(tmp_path, hosts=("a", "b"))
    world.settings = evolve(world.settings, memory_budget=300 << 20)
    leaving = world.worker(name="leaving")
    leaving.room.admission.ask("running", Share(1, 200 << 20))
    task = world.client.submit({"image": "busybox", "limits": {"memory": "200m"}})
    results: list[object] = []
    waiting = threading.Thread(target=lambda: results.append(leaving.run(task.id)), daemon=True)
    waiting.start()
    until(lambda: len(leaving.room.admission._line._waiting) == 1)
    leaving.room.admission.close()
    waiting.join(LONG)
    left = world.client.get(task.id)
    assert results == [None]
    assert (left.status, left.history, left.lease, leaving.leases.count) == (State.QUEUED, (), None, 0)
    assert left.engine is None
    assert not world.engine.starts
    ended = world.worker(name="next", host=host).run(task.id)
    assert ended
    assert (ended.status, ended.attempt, ended.engine) == (State.SUCCEEDED, 1, host)
