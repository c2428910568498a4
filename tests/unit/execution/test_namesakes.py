"""A task whose document was deleted, and another that has its id since, have nothing in common."""

from pathlib import Path

import pytest
from attrs import evolve

from orchestrator.cause import Cause
from orchestrator.errors import ContainerMissing, InfrastructureError
from orchestrator.ports import Phase, Stream
from orchestrator.reconcile.reconciler import Kind
from orchestrator.settings.settings import Settings
from orchestrator.task.labels import NONCE
from orchestrator.testing.programs import FOREVER, Program
from statemachine import State
from tests.support.baton import Actor, Puppet
from tests.support.faults import Fault, Killed, Process, When
from tests.support.world import World

OLD, NEW = {"image": "busybox", "command": ["old"]}, {"image": "busybox", "command": ["new"]}
NAME = "orchestrator-t-1"


@pytest.fixture
def world(tmp_path: Path) -> World:
    """An old program that has not ended, and a new one that ends at once."""
    old = Program(stdout=b"OLD and long", seconds=FOREVER.seconds)
    return World(tmp_path, {("old",): old, ("new",): Program(stdout=b"NEW")})


def begun(world: World, call: str = "wait") -> None:
    """The old task, whose worker dies before this call, and whose document is deleted; the new one is in line."""
    world.client.submit(OLD, "t")
    with pytest.raises(Killed):
        world.worker(Process([Fault(call, 1, When.BEFORE, Killed())])).run("t")
    forget(world)


def forget(world: World) -> None:
    """Somebody deletes the document, and submits the id again."""
    world.services.store._documents.clear()
    world.client.submit(NEW, "t")


@pytest.mark.parametrize("call", ["start", "wait"])
def test_a_task_does_not_adopt_what_an_earlier_one_of_its_id_has_left(world: World, call: str) -> None:
    """Neither its container nor its output; the container is removed, and the attempt is the first."""
    begun(world, call)
    task = world.worker().run("t")
    assert task
    assert (task.status, task.attempt) == (State.SUCCEEDED, 1)
    assert world.output(task, Stream.STDOUT) == b"NEW"
    assert not world.engine.containers


def test_a_worker_that_still_runs_the_earlier_one_lets_go_of_it(world: World) -> None:
    """And touches nothing of the new one."""
    world.client.submit(OLD, "t")
    stale, present = Puppet("stale"), Puppet("present")
    dozing = stale.act("run", lambda: world.worker(stale).run("t")).until("wait")
    forget(world)
    running = present.act("run", lambda: world.worker(present).run("t")).until("wait")
    dozing.until("nothing")
    assert world.engine.inspect(NAME).labels[NONCE] == world.client.get("t").nonce
    running.until("nothing")
    assert world.output(world.client.get("t"), Stream.STDOUT) == b"NEW"


def test_a_running_task_is_not_judged_by_another_ones_container(world: World) -> None:
    """A document that was deleted and put back as it was, but for its nonce, has lost its container."""
    world.client.submit(OLD, "t")
    with pytest.raises(Killed):
        world.worker(Process([Fault("wait", 1, When.BEFORE, Killed())])).run("t")
    store = world.services.store
    document = {**store.find("t"), "nonce": "another"}
    store._documents.clear()
    store.insert(document)
    world.expire_leases()
    task = world.worker().run("t")
    assert task
    assert task.cause is Cause.CONTAINER_LOST
    assert world.engine.inspect(NAME).phase is Phase.RUNNING


def test_the_sweep_removes_what_the_earlier_one_has_left_and_nothing_of_the_new_one(world: World) -> None:
    """Also while the new one has not begun."""
    begun(world)
    plan = {(action.kind, action.why) for action in world.sweep().plan() if action.kind in {Kind.REMOVE, Kind.DISCARD}}
    assert plan == {(kind, "its task was deleted, and another has its id") for kind in (Kind.REMOVE, Kind.DISCARD)}
    present = Puppet("present")
    running = present.act("run", lambda: world.worker(present).run("t")).until("wait")
    ours = world.engine.inspect(NAME).id
    done = world.sweep().once(30)
    assert [action.kind for action in done] == [Kind.DISCARD]
    assert world.engine.inspect(NAME).id == ours
    running.until("nothing")
    assert world.output(world.client.get("t"), Stream.STDOUT) == b"NEW"


def test_a_sweep_that_dozed_removes_nothing_of_a_task_that_has_the_id_since(world: World) -> None:
    """It had seen the container of the earlier one."""
    begun(world)
    seen = [action for action in world.sweep().plan() if action.kind is Kind.REMOVE]
    present = Puppet("present")
    running = present.act("run", lambda: world.worker(present).run("t")).until("wait")
    for action in seen:
        world.sweep()._do(action)
    assert world.engine.inspect(NAME)
    running.until("nothing")


def test_a_name_that_is_free_by_now_is_no_ones_to_clear(world: World) -> None:
    """Creating it had failed for another reason."""
    world.settings = evolve(world.settings, retry_budget=1.0)
    world.client.submit(NEW, "t")
    process = Process([Fault("create", 1, When.BEFORE, InfrastructureError("docker", "hiccup"))])
    task = world.worker(process).run("t")
    assert task
    assert (task.status, task.attempt) == (State.SUCCEEDED, 1)
    with pytest.raises(ContainerMissing):
        world.engine.inspect(NAME)


def test_a_nonce_is_given_once(tmp_path: Path) -> None:
    """It stays over attempts and holders."""
    world = World(tmp_path, settings=Settings(retry_budget=0.0, orphan_grace=-1.0))
    world.client.submit(NEW, "t")
    with pytest.raises(Killed):
        world.worker(Process([Fault("wait", 1, When.BEFORE, Killed())])).run("t")
    first = world.client.get("t").nonce
    world.expire_leases()
    task = world.worker(Process([Fault("wait", 1, When.BEFORE, InfrastructureError("docker", "away"))])).run("t")
    assert task
    assert (task.attempt, task.nonce) == (2, first)


def test_a_worker_that_dozed_over_its_last_note_notes_nothing_of_a_task_that_has_the_id_since(world: World) -> None:
    """Its end was stored, and a sweep has noted for it that nothing is left to do."""
    world.client.submit(NEW, "t")
    stale = Puppet("stale")
    dozing = stale.act("run", lambda: world.worker(stale).run("t")).until("settle")
    world.clock.advance(1)
    world.sweep().once(30)
    _another_has_the_id_and_ends(world, dozing)


def test_a_sweep_that_dozed_notes_nothing_of_a_task_that_has_the_id_since(world: World) -> None:
    """It was about to settle the earlier one, as its worker does by itself."""
    world.client.submit(NEW, "t")
    slow, stale = Puppet("slow"), Puppet("stale")
    running = slow.act("run", lambda: world.worker(slow).run("t")).until("settle")
    world.clock.advance(1)
    dozing = stale.act("sweep", lambda: world.sweep(stale).once(30)).until("settle")
    assert dozing.call == "settle"
    running.until("nothing")
    _another_has_the_id_and_ends(world, dozing)


def _another_has_the_id_and_ends(world: World, dozing: Actor) -> None:
    """Then the one that dozed goes on, and the other one stays as it has ended."""
    world.client.delete("t")
    world.client.submit(NEW, "t")
    assert world.client.cancel("t").seq == 1
    dozing.until("nothing")
    task = world.client.get("t")
    assert (task.status, task.published, task.settled) == (State.FAILED, 1, True)
