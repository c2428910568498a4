"""The keeper sweeps until the worker stops, and carries what it adopts."""

import threading
from pathlib import Path

import pytest
from attrs import evolve

from orchestrator.adapters.memory_engine import Program
from orchestrator.errors import InfrastructureError
from orchestrator.keeper import Keeper
from statemachine import State
from tests.support.faults import Fault, Killed, Process, When
from tests.support.world import World

PROGRAM = ("program",)
LONG = 20.0


def test_it_adopts_what_a_dead_worker_left_and_ends_with_the_worker(tmp_path: Path) -> None:
    """An outage in between puts the sweep off, and so does a fault of our own, no more."""
    world = World(tmp_path, {PROGRAM: Program(stdout=b"out")})
    world.client.submit({"image": "busybox", "command": ["program"]}, "t")
    with pytest.raises(Killed):
        world.worker(Process([Fault("wait", 1, When.BEFORE, Killed())])).run("t")
    world.expire_leases()
    troubles = [InfrastructureError("mongodb", "away"), TypeError("a fault of ours")]
    process = Process([Fault("active", nth, When.BEFORE, trouble) for nth, trouble in enumerate(troubles, 1)])
    services = world.process(process, "keeper")
    services.settings = evolve(services.settings, sweep_interval=0.01)
    stopping = threading.Event()
    keeper = Keeper(services, stopping.is_set)
    keeper.start()
    pause = threading.Event()
    for _ in range(2000):
        if world.client.get("t").settled and world.client.get("t").status is State.SUCCEEDED:
            break
        pause.wait(0.01)
    assert keeper.alive
    stopping.set()
    keeper._thread.join(LONG)
    assert not keeper._thread.is_alive()
    assert keeper.alive
    stopping.clear()
    assert not keeper.alive
    assert world.client.get("t").status is State.SUCCEEDED
    assert process.calls["active"] > len(troubles)
    assert list(world.engine.starts.values()) == [1]
