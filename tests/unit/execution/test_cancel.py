"""Cancelling: one rule decides every race. Stored before the outcome is, it ends the task; afterwards the outcome stands."""

import contextlib
from pathlib import Path

import pytest
from loguru import logger

from orchestrator.cause import Cause
from orchestrator.errors import InfrastructureError, UnknownTask
from orchestrator.ports import Stream
from orchestrator.testing.programs import FOREVER, Program
from statemachine import TERMINAL, State
from tests.support.baton import How, Puppet
from tests.support.faults import Fault, Killed, Process, When
from tests.support.world import World

PROGRAM = ("program",)
REQUEST = {"image": "busybox", "command": ["program"]}
END = (State.FAILED, Cause.CANCELLED)


def world_with(folder: Path, program: Program) -> World:
    """A world with one task in it."""
    world = World(folder, {PROGRAM: program})
    world.client.submit(REQUEST, "t")
    return world


def test_a_queued_task_never_starts(tmp_path: Path) -> None:
    """It ends at once, and its queue entry finds it finished."""
    world = world_with(tmp_path, Program())
    task = world.client.cancel("t")
    assert (task.status, task.cause) == END
    assert world.worker().run("t") is None
    assert not world.engine.starts
    assert [entry.status for entry in task.history] == [State.FAILED]


def test_what_goes_wrong_as_it_is_ended_is_logged_with_the_task(tmp_path: Path) -> None:
    """The thread that ends the program is not the one that waits for it."""
    world = world_with(tmp_path, FOREVER)
    runner = world.worker(Process([Fault("inspect", 1, When.BEFORE, InfrastructureError("docker", "away"))]))
    said: list[tuple[str, object]] = []
    sink = logger.add(lambda message: said.append((message.record["message"], message.record["extra"].get("task"))))
    with runner.leases.hold("t", world.engine.identity()) as held:
        assert held
        runner._claim(held).state = State.RUNNING
        assert held.holder
        held.holder._end_cancelled()
    logger.remove(sink)
    assert [task for message, task in said if "could not be ended" in message] == ["t"]


def test_cancelling_is_idempotent_in_every_state(tmp_path: Path) -> None:
    """However often and whenever it is asked for."""
    world = world_with(tmp_path, Program())
    first = world.client.cancel("t")
    assert world.client.cancel("t") == first
    with pytest.raises(UnknownTask):
        world.client.cancel("nobody")


@pytest.mark.parametrize("program", [FOREVER, Program(stdout=b"out", exit_code=3), Program(stdout=b"out")])
def test_at_any_call_the_rule_decides(tmp_path: Path, program: Program) -> None:
    """Asked before the outcome is stored, it is cancelled; from then on the outcome stands."""
    steps = 0
    ends = []
    while True:
        world = world_with(tmp_path / str(steps), program)
        puppet = Puppet("worker")
        actor = puppet.act("run", lambda world=world, puppet=puppet: world.worker(puppet).run("t"))
        for _ in range(steps):
            if actor.call is not None:
                actor.step(How.MAKE)
        if actor.call is None:
            break
        before = world.client.get("t").status
        world.client.cancel("t")
        actor.until("nothing")
        task = world.client.get("t")
        assert task.status in TERMINAL
        assert ((task.status, task.cause) == END) == (before in {State.QUEUED, State.RUNNING}), (before, task)
        assert set(world.engine.starts.values()) <= {1}
        assert not (world.engine.starts and "before its program ran" in task.message)
        assert not world.engine.containers
        ends.append(task.cause)
        steps += 1
    assert Cause.CANCELLED in ends
    assert len(set(ends)) == 2


@pytest.mark.parametrize("call", ["pull", "create"])
def test_a_start_that_fails_is_not_tried_again_for_a_cancelled_task(tmp_path: Path, call: str) -> None:
    """The engine may be away for long, and nobody waits for the task any more."""
    world = world_with(tmp_path, Program())
    puppet = Puppet("worker")
    runner = world.worker(puppet)
    actor = puppet.act("run", lambda: runner.run("t")).until(call)
    world.services.store.request_cancel("t")
    heart = puppet.act("beat", runner.leases.hear).until("nothing")
    assert heart.error is None
    actor.step(How.FAIL)
    assert actor.call == "advance"
    actor.until("nothing")
    assert (world.client.get("t").status, world.client.get("t").cause) == END
    assert not world.engine.starts


def test_a_running_program_is_ended_and_its_output_kept(tmp_path: Path) -> None:
    """The heartbeat hears of it while the worker waits."""
    world = world_with(tmp_path, Program(stdout=b"so far", seconds=59))
    puppet = Puppet("worker")
    runner = world.worker(puppet)
    actor = puppet.act("run", lambda: runner.run("t")).until("wait")
    world.client.cancel("t")
    actor.until("nothing")
    task = world.client.get("t")
    assert (task.status, task.cause) == END
    assert world.output(task, Stream.STDOUT) == b"so far"


def test_a_cancelled_task_whose_container_is_gone_ends(tmp_path: Path) -> None:
    """The wish was there first, and there is nothing left to wait for."""
    world = world_with(tmp_path, FOREVER)
    puppet = Puppet("worker")
    actor = puppet.act("run", lambda: world.worker(puppet).run("t")).until("wait")
    for name in world.engine.containers:
        world.engine.remove(name, world.services.deployment)
    world.client.cancel("t")
    actor.until("nothing")
    task = world.client.get("t")
    assert (task.status, task.cause) == END


def test_a_failure_that_comes_after_the_wish_does_not_stand_over_it(tmp_path: Path) -> None:
    """Whatever else went wrong before there was an outcome."""
    world = World(tmp_path, images=frozenset({"busybox"}))
    world.client.submit({"image": "nothing:1"}, "t")
    puppet = Puppet("worker")
    actor = puppet.act("run", lambda: world.worker(puppet).run("t")).until("advance")
    world.client.cancel("t")
    actor.until("nothing")
    task = world.client.get("t")
    assert (task.status, task.cause) == END
    assert "nothing:1" in task.message


def test_a_cancel_that_finds_the_task_begun_frees_it_at_once(tmp_path: Path) -> None:
    """Its worker has died since: the next one need not wait for the canceller's claim to run out."""
    world = World(tmp_path, {PROGRAM: FOREVER})
    world.client.submit(REQUEST, "t")
    with contextlib.suppress(Killed):
        world.worker(Process([Fault("wait", 1, When.BEFORE, Killed())])).run("t")
    world.expire_leases()
    world.services.store.request_cancel("t")
    world.services.runner.cancel_queued("t")
    ended = world.worker().run("t")
    assert ended is not None
    assert (ended.status, ended.cause) == END


def test_a_program_that_a_dead_worker_has_started_is_not_said_to_have_never_run(tmp_path: Path) -> None:
    """The client cannot end it, so it leaves that to a worker on the program's engine."""
    world = world_with(tmp_path, FOREVER)
    with contextlib.suppress(Killed):
        world.worker(Process([Fault("advance", 1, When.BEFORE, Killed())])).run("t")
    assert world.engine.starts
    world.expire_leases()
    assert world.client.cancel("t").status is State.QUEUED
    assert world.engine.containers
    ended = world.worker().run("t")
    assert ended is not None
    assert (ended.status, ended.cause) == END
    assert "before its program ran" not in ended.message
    assert not world.engine.containers
