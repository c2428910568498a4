"""Tasks that wait for room, and give it back, on services in memory."""

import threading
from pathlib import Path

import pytest
from attrs import evolve

from orchestrator.cause import Cause
from orchestrator.execution.admission import Share
from orchestrator.ports import Host
from orchestrator.testing.programs import FOREVER, Program
from statemachine import State
from tests.support import pace
from tests.support.baton import Puppet
from tests.support.faults import Fault, Killed, Process, When
from tests.support.world import World


def test_a_task_larger_than_the_host_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    """By the worker that meets it, with cause invalid."""
    world = World(tmp_path)
    world.engine.machine = Host(2, 1 << 30)
    task = world.client.submit({"image": "busybox", "limits": {"cpus": 3, "memory": "2g"}})
    ended = world.worker().run(task.id)
    assert ended
    assert (ended.status, ended.cause) == (State.FAILED, Cause.INVALID)
    assert ended.message.count("more than") == 2
    assert not world.engine.starts


def test_a_task_waits_queued_and_a_cancel_ends_the_wait(tmp_path: Path) -> None:
    """Nothing of it is made; the one that runs is not disturbed."""
    world = World(tmp_path, {("forever",): FOREVER})
    world.settings = evolve(world.settings, memory_budget=300 << 20)
    runner = world.worker()
    runner.room.admission.ask("running", Share(1, 200 << 20))
    task = world.client.submit({"image": "busybox", "limits": {"memory": "200m"}})
    waiting = threading.Thread(target=runner.run, args=(task.id,), daemon=True)
    waiting.start()
    world.services.store.request_cancel(task.id)
    waiting.join(pace.seconds(10))
    ended = world.client.get(task.id)
    assert (ended.status, ended.cause) == (State.FAILED, Cause.CANCELLED)
    assert not world.engine.starts


def test_room_is_given_back_when_the_program_has_ended(tmp_path: Path) -> None:
    """One after the other runs, though only one fits."""
    world = World(tmp_path, {("program",): Program()})
    world.settings = evolve(world.settings, memory_budget=300 << 20)
    runner = world.worker()
    tasks = [world.client.submit({"image": "busybox", "command": ["program"]}) for _ in range(3)]
    assert [ended.status for task in tasks if (ended := runner.run(task.id))] == [State.SUCCEEDED] * 3


def test_a_task_that_went_elsewhere_while_it_waited_is_let_go(tmp_path: Path) -> None:
    """Its lease ran out, and another worker has it: it must not be started twice."""
    world = World(tmp_path)
    world.settings = evolve(world.settings, memory_budget=300 << 20)
    runner = world.worker()
    runner.room.admission.ask("running", Share(1, 200 << 20))
    task = world.client.submit({"image": "busybox", "limits": {"memory": "200m"}})
    results: list[object] = []
    waiting = threading.Thread(target=lambda: results.append(runner.run(task.id)), daemon=True)
    waiting.start()
    while not world.services.store.find(task.id).get("lease"):
        waiting.join(0.01)
    world.expire_leases()
    assert world.services.store.claim(task.id, "another", "token", 1000.0, world.engine.identity())
    runner.room.admission.leave("running")
    waiting.join(pace.seconds(10))
    assert results == [None]
    assert not world.engine.starts


@pytest.mark.parametrize("adopted", [False, True], ids=["its own", "taken over"])
def test_what_a_program_left_in_memory_keeps_its_room_until_it_is_uploaded(tmp_path: Path, *, adopted: bool) -> None:
    """The object store is slow: a large task waits, a small one runs, and the one slot is free."""
    world = World(tmp_path, {("speak",): Program(b"out")})
    world.settings = evolve(world.settings, memory_budget=300 << 20, concurrency=1)
    limits = {"memory": "200m", "artifacts": "100m"}
    uploading = world.client.submit({"image": "busybox", "command": ["speak"], "artifacts": ["a"], "limits": limits}).id
    small = world.client.submit({"image": "busybox", "limits": {"memory": "200m"}}).id
    if adopted:
        with pytest.raises(Killed):
            world.worker(Process([Fault("put", 1, When.BEFORE, Killed())])).run(uploading)
        world.expire_leases()
    puppet = Puppet("worker")
    runner = world.worker(puppet)
    actor = puppet.act("run", lambda: runner.run(uploading)).until("put")
    assert world.client.get(uploading).status is State.UPLOADING
    assert not runner.room.admission.ask("large", Share(1, 201 << 20))
    ended = runner.run(small)
    assert ended
    assert ended.status is State.SUCCEEDED
    actor.until("nothing")
    assert runner.room.admission.ask("large", Share(1, 201 << 20))
