"""A worker whose lease was taken while it was frozen lets go, and does nothing else for the task."""

import queue
from pathlib import Path

import pytest

from orchestrator.task.event import Event
from orchestrator.testing.programs import Program
from statemachine import State
from tests.support.baton import How, Puppet
from tests.support.world import World

REQUEST = {"image": "busybox", "command": ["program"], "artifacts": ["kept"]}
QUIET = {"renew", "let_go"}
LOCAL = {"identity", "deployment", "inspect"}
"""Calls that ask, and change nothing."""


def inbox(world: World) -> "queue.SimpleQueue[str]":
    """What a subscriber of all tasks hears from now on."""
    box: queue.SimpleQueue[str] = queue.SimpleQueue()
    world.services.events._bus._subscribers.append((None, box))
    return box


MOMENTS = {
    "pull": 1,
    "create": 1,
    "attach": 1,
    "begin": 1,
    "start": 1,
    "wait": 1,
    "archive": 1,
    "put": 1,
    "advance": 4,
}
"""How often a run makes each call before it ends; it publishes once more than is listed here."""


@pytest.mark.parametrize(
    ("call", "nth"), [(call, nth) for call, times in {**MOMENTS, "publish": 3}.items() for nth in range(1, times + 1)]
)
def test_a_holder_that_lost_its_lease_makes_no_call_but_to_let_go(tmp_path: Path, call: str, nth: int) -> None:
    """Beyond the one that it was frozen in, wherever that was; of its task nothing is heard any more."""
    world = World(tmp_path, {("program",): Program(stdout=b"out")})
    heard = inbox(world)
    world.client.submit(REQUEST, "t")
    made: list[str] = []
    puppet = Puppet("frozen", made=lambda _actor, name, _args: made.append(name))
    frozen = world.worker(puppet)
    actor = puppet.act("run", lambda: frozen.run("t"))
    for _ in range(nth):
        actor.step(How.MAKE)
        actor.until(call)
    assert actor.call == call
    world.expire_leases()
    assert world.worker(name="other").run("t")
    before = world.client.get("t")
    assert before.status is State.SUCCEEDED
    for held in frozen.leases._all().values():
        held.until = float("-inf")
    made.clear()
    actor.until("nothing")
    assert actor.error is None
    assert set(made[1:]) <= QUIET | LOCAL
    assert made.count("let_go") <= 1
    assert world.client.get("t") == before
    assert [Event.from_json(heard.get()) for _ in range(heard.qsize())][-1].status is State.SUCCEEDED
