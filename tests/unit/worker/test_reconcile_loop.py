"""The keeper sweeps until the worker stops, and carries what it adopts."""

import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from attrs import evolve

from orchestrator.errors import InfrastructureError
from orchestrator.metrics import declarations as metrics
from orchestrator.task.event import Event
from orchestrator.task.labels import DEPLOYMENT, ENGINE, WORKER
from orchestrator.testing.programs import FOREVER, Program
from orchestrator.worker.reconcile_loop import Keeper
from statemachine import State
from tests.support import pace
from tests.support.baton import How, Puppet
from tests.support.faults import Fault, Killed, Process, When
from tests.support.worker_process import until
from tests.support.world import World

PROGRAM = ("program",)
REQUEST = {"image": "busybox", "command": ["program"]}
LONG = pace.seconds(20.0)


def test_it_adopts_what_a_dead_worker_left_and_ends_with_the_worker(tmp_path: Path) -> None:
    """An outage, or a fault of the worker, only delays the sweep."""
    world = World(tmp_path, {PROGRAM: Program(stdout=b"out")})
    world.client.submit(REQUEST, "t")
    with pytest.raises(Killed):
        world.worker(Process([Fault("wait", 1, When.BEFORE, Killed())])).run("t")
    world.expire_leases()
    troubles = [InfrastructureError("mongodb", "away"), TypeError("a bug")]
    process = Process([Fault("active", nth, When.BEFORE, trouble) for nth, trouble in enumerate(troubles, 1)])
    services = world.process(process, "keeper")
    services.settings = evolve(services.settings, sweep_interval=0.01)
    stopping = threading.Event()
    keeper = Keeper(services, stopping.is_set)
    keeper.start()
    until(lambda: world.client.get("t").settled and world.client.get("t").status is State.SUCCEEDED)
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
    measured = services.measured
    assert measured.counted(metrics.SWEPT)["adopt",] == 1
    assert measured.counted(metrics.ADOPTED)["running",] == 1
    assert measured.counted(metrics.SWEEP_ERRORS)["fault",] == 1
    assert sum(measured.observed(metrics.SWEEP)[()].counts) > len(troubles)


def test_containers_wait_as_long_as_the_worker_takes_tasks(tmp_path: Path) -> None:
    """With its defaults, and with the labels of its deployment; an outage only delays them."""
    world = World(tmp_path)
    services = world.process(Process([Fault("keep_warm", 1, When.BEFORE, InfrastructureError("docker", "away"))]), "keeper")
    services.settings = evolve(services.settings, sweep_interval=0.01, warm=(("busybox", 3),), runtime="runsc")
    stopping = threading.Event()
    keeper = Keeper(services, stopping.is_set)
    keeper.start()
    until(lambda: world.engine.kept_warm)
    ((plan, count),) = world.engine.kept_warm
    assert (plan.image, plan.runtime, plan.limits, count) == ("busybox", "runsc", services.settings.defaults, 3)
    assert plan.labels == {DEPLOYMENT: services.deployment, ENGINE: "memory", WORKER: services.settings.name}
    stopping.set()
    keeper._thread.join(LONG)
    assert world.engine.kept_warm == []


@pytest.mark.parametrize("draining", [False, True])
def test_what_could_not_be_published_goes_out_while_the_program_runs(tmp_path: Path, draining: bool) -> None:  # noqa: FBT001
    """It may run for an hour; a worker that only waits for its tasks to end publishes, too, and then ends."""
    world = World(tmp_path, {PROGRAM: FOREVER})
    world.client.submit(REQUEST, "t")
    puppet = Puppet("worker")
    services = world.process(puppet)
    services.settings = evolve(services.settings, sweep_interval=0.01)
    actor = puppet.act("run", lambda: services.runner.run("t")).until("publish")
    actor.step(How.FAIL)
    actor.until("wait")
    assert [event.seq for event in world.published] == [0]
    stopping = threading.Event()
    if draining:
        stopping.set()
    keeper = Keeper(services, stopping.is_set)
    keeper.start()
    until(lambda: len(world.published) > 1)
    actor.until("nothing")
    stopping.set()
    keeper._thread.join(LONG)
    assert not keeper._thread.is_alive()
    assert world.published == Event.all_of(world.client.get("t"), deployment=world.services.deployment)


def test_forged_documents_make_no_more_threads_than_there_are_places(tmp_path: Path) -> None:
    """No account can have the worker run any number of them at once; the bounds stand side by side."""
    world = World(tmp_path)
    for number in range(80):
        world.services.store.insert({"_id": f"running-{number}", "status": "running", "image": "busybox"})
        engine = world.engine.identity()
        world.services.store.insert({"_id": f"queued-{number}", "status": "queued", "image": "busybox", "engine": engine})
    services = world.process()
    services.settings = evolve(services.settings, adopted_max=5, concurrency=3, sweep_interval=0.01)
    keeper, blocked = Keeper(services, lambda: False), threading.Semaphore(0)
    running: list[str] = []
    services.runner = Blocked(running, blocked)
    for _ in range(3):
        services.sweep(keeper.adopt, keeper.resume).once(30)
    until(lambda: len(running) == 8)
    assert sum(task_id.startswith("running") for task_id in running) == 5
    blocked.release(8)
    until(lambda: keeper._begun._free._value == 5)
    services.sweep(keeper.adopt, keeper.resume).once(30)
    until(lambda: len(running) > 8)
    blocked.release(200)


class Blocked:
    """A runner whose tasks do not end before the test says so."""

    def __init__(self, running: list[str], end: threading.Semaphore) -> None:
        self._running, self._end = running, end
        self.leases = SimpleNamespace(holds=self._running.__contains__)

    def run(self, task_id: str, _: str) -> None:
        """Note it, and wait."""
        self._running.append(task_id)
        self._end.acquire(timeout=LONG)
