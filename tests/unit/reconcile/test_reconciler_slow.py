"""A sweep whose time is up before it has seen everything gets on all the same, with what matters first."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from orchestrator.ports import Owned
from orchestrator.reconcile import reconciler as sweep_module
from orchestrator.reconcile.reconciler import Kind
from orchestrator.testing.engine import MemoryEngine
from orchestrator.testing.programs import Program
from orchestrator.testing.task_store import _key
from statemachine import State
from tests.support.faults import Fault, Killed, Process, When
from tests.support.world import World

PROGRAM = ("program",)
REQUEST = {"image": "busybox", "command": ["program"]}


class Slow(MemoryEngine):
    """An engine that takes so many seconds to say what it has."""

    def __init__(self, *arguments: object, tick: Callable[[float], None], **options: object) -> None:
        super().__init__(*arguments, **options)
        self._tick = tick

    def owned(self, deployment: str) -> Sequence[Owned]:
        """See ports.Engine."""
        self._tick(60)
        return super().owned(deployment)


def test_an_engine_that_takes_all_the_time_keeps_no_task_from_its_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sweep handles tasks before it asks the engine. Each sweep removes at least one container."""
    clock = [0.0]
    monkeypatch.setattr(sweep_module, "time", SimpleNamespace(monotonic=lambda: clock[0], time=time.time))

    def tick(seconds: float) -> None:
        clock[0] += seconds

    world = World(tmp_path, {PROGRAM: Program(stdout=b"out")}, engine=Slow, tick=tick)
    for task_id in ("t", "u", "v"):
        world.client.submit(REQUEST, task_id)
        with pytest.raises(Killed):
            world.worker(Process([Fault("wait", 1, When.BEFORE, Killed())])).run(task_id)
    for task_id in ("u", "v"):
        del world.services.store._documents[_key(task_id)]
    world.expire_leases()
    done = [(action.kind, action.subject) for action in world.sweep().once(5)]
    assert done[0] == (Kind.ADOPT, "t")
    assert world.client.get("t").status is State.SUCCEEDED
    assert len(world.engine.containers) == 1
    world.sweep().once(5)
    assert not world.engine.containers


def test_what_is_put_in_line_again_stands_in_the_order_of_its_age(tmp_path: Path) -> None:
    """A queue that was emptied is fair again."""
    world = World(tmp_path)
    ids = [f"t{number}" for number in range(20)]
    for task_id in ids:
        world.client.submit(REQUEST, task_id)
    while world.queue.take():
        pass
    world.clock.advance(60)
    world.sweep().once(30)
    assert [world.queue.take() for _ in ids] == ids
