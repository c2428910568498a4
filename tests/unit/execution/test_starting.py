"""A program is started once in an attempt, also when its container is gone before anybody could say that it was started."""

from pathlib import Path

import pytest

from orchestrator.cause import Cause
from orchestrator.errors import InfrastructureError
from orchestrator.task.document import Task
from orchestrator.testing.programs import Program
from statemachine import State
from tests.support.baton import Puppet
from tests.support.faults import Fault, Killed, Process, When
from tests.support.world import World

PROGRAM = ("program",)
REQUEST = {"image": "busybox", "command": ["program"]}
AWAY = InfrastructureError("service", "away")


@pytest.fixture
def world(tmp_path: Path) -> World:
    """With a program that is soon over."""
    return World(tmp_path, {PROGRAM: Program(stdout=b"out")})


def prune(world: World) -> None:
    """Somebody removes all containers."""
    for name in world.engine.containers:
        world.engine.remove(name, world.services.deployment)


def dies(world: World, *faults: Fault) -> Task:
    """A task whose worker dies on the way, and whose lease has run out since."""
    task = world.client.submit(REQUEST)
    with pytest.raises(Killed):
        world.worker(Process([*faults])).run(task.id)
    world.expire_leases()
    return task


def attempts(world: World, task: Task) -> list[Cause | None]:
    """What became of each attempt; no program was started twice in one."""
    ended = world.worker().run(task.id) or world.client.get(task.id)
    assert ended.status is State.SUCCEEDED
    assert set(world.engine.starts.values()) == {1}
    assert ended.starting is None
    return [*(attempt.cause for attempt in ended.attempts), ended.cause]


@pytest.mark.parametrize(
    "fault",
    [Fault("start", 1, When.AFTER, Killed()), Fault("advance", 1, When.BEFORE, Killed())],
    ids=["started", "about to say so"],
)
def test_who_takes_over_a_start_whose_container_is_gone_begins_a_new_attempt(world: World, fault: Fault) -> None:
    """The program may have run to its end."""
    task = dies(world, fault)
    prune(world)
    assert attempts(world, task) == [Cause.INFRASTRUCTURE, None]
    assert list(world.engine.starts) == [f"orchestrator-{task.id}-{number}" for number in (1, 2)]


def test_who_finds_the_container_not_started_starts_the_program_in_the_same_attempt(world: World) -> None:
    """It was noted, and no more."""
    assert attempts(world, dies(world, Fault("start", 1, When.BEFORE, Killed()))) == [None]


@pytest.mark.parametrize("again", ["create", "attach", "begin"])
@pytest.mark.parametrize("when", When)
def test_two_that_die_before_the_start_cost_no_attempt(world: World, again: str, when: When) -> None:
    """The second one replaces the container that was never started, and dies before it can note the new one."""
    task = dies(world, Fault("start", 1, When.BEFORE, Killed()))
    with pytest.raises(Killed):
        world.worker(Process([Fault(again, 1 if again != "begin" else 2, when, Killed())])).run(task.id)
    world.expire_leases()
    assert attempts(world, task) == [None]


def test_who_finds_another_container_than_was_to_be_started_begins_a_new_attempt(world: World) -> None:
    """One that a stale worker made after the first was started and removed."""
    task = dies(world, Fault("start", 1, When.AFTER, Killed()))
    (found,) = world.engine._containers.values()
    prune(world)
    world.engine.create(found.plan)
    assert attempts(world, task) == [Cause.INFRASTRUCTURE, None]


def test_a_container_that_is_gone_after_a_lost_reply_is_not_made_again(world: World) -> None:
    """The worker cannot tell whether its call had an effect."""
    task, puppet = world.client.submit(REQUEST), Puppet("worker")
    start = world.engine.start

    def lose(container: str) -> None:
        start(container)
        world.engine.start = start
        prune(world)
        raise AWAY

    world.engine.start = lose
    puppet.act("run", lambda: world.worker(puppet).run(task.id)).until("nothing")
    assert attempts(world, task) == [Cause.INFRASTRUCTURE, None]


@pytest.mark.parametrize(("call", "expected"), [("attach", [None]), ("start", [Cause.INFRASTRUCTURE, None])])
def test_a_container_that_is_gone_before_its_start_was_noted_is_made_again(
    world: World, call: str, expected: list[Cause | None]
) -> None:
    """Nothing can have run yet; once it is noted, nobody can tell."""
    task, puppet = world.client.submit(REQUEST), Puppet("worker")
    actor = puppet.act("run", lambda: world.worker(puppet).run(task.id)).until(call)
    prune(world)
    actor.until("nothing")
    assert attempts(world, task) == expected


def test_a_start_that_fails_is_tried_again_in_the_same_attempt(world: World) -> None:
    """Also when the container that is to replace it cannot be made at once."""
    task = world.client.submit(REQUEST)
    process = Process([Fault(call, nth, When.BEFORE, AWAY) for call, nth in (("start", 1), ("create", 2), ("attach", 2))])
    world.worker(process).run(task.id)
    assert attempts(world, task) == [None]


@pytest.mark.parametrize("starting", ["c1", 5, {"a": 1}])
@pytest.mark.parametrize(("image", "status"), [("busybox", State.SUCCEEDED), ("NO", State.FAILED)])
def test_what_a_foreign_hand_wrote_there_does_no_harm(world: World, image: str, status: State, starting: object) -> None:
    """At worst it costs an attempt."""
    world.services.store.insert({"_id": "t", "status": "queued", "starting": starting, **REQUEST, "image": image})
    ended = world.worker().run("t")
    assert ended
    assert (ended.status, ended.starting) == (status, None)
    assert set(world.engine.starts.values()) <= {1}
