"""The sweep finds what is lost or left behind, in both directions, and touches nothing else."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from orchestrator.errors import InfrastructureError, Postponed
from orchestrator.ports import JobInfo
from orchestrator.reconcile import reconciler as sweep_module
from orchestrator.reconcile.reconciler import Kind
from orchestrator.task.event import Event
from orchestrator.testing.programs import FOREVER, Program
from orchestrator.testing.task_store import _key
from statemachine import State
from tests.support.baton import Puppet
from tests.support.faults import Fault, Killed, Process, When
from tests.support.world import World

PROGRAM = ("program",)
REQUEST = {"image": "busybox", "command": ["program"]}


def died(folder: Path, method: str, nth: int, when: When = When.BEFORE, program: Program | None = None) -> World:
    """A world whose worker died at a call of its only task, whose lease has run out and whose queue is empty."""
    world = World(folder, {PROGRAM: program or Program(stdout=b"out")})
    world.client.submit(REQUEST, "t")
    world.queue.take()
    with pytest.raises(Killed):
        world.worker(Process([Fault(method, nth, when, Killed())])).run("t")
    world.expire_leases()
    return world


def kinds(world: World) -> list[Kind]:
    """What a sweep would do."""
    return [action.kind for action in world.sweep().plan()]


@pytest.mark.parametrize(("method", "nth"), [("start", 1), ("advance", 1), ("wait", 1), ("put", 1), ("advance", 4)])
def test_a_task_whose_worker_died_is_adopted(tmp_path: Path, method: str, nth: int) -> None:
    """Wherever it died, and the command runs once."""
    world = died(tmp_path, method, nth)
    assert Kind.ADOPT in kinds(world)
    world.sweep().once(30)
    assert world.client.get("t").status is State.SUCCEEDED
    assert list(world.engine.starts.values()) == [1]
    assert kinds(world) == []


def test_a_task_with_a_living_worker_is_left_alone(tmp_path: Path) -> None:
    """Its lease has not run out."""
    world = World(tmp_path, {PROGRAM: FOREVER})
    world.client.submit(REQUEST, "t")
    world.queue.take()
    puppet = Puppet("worker")
    puppet.act("run", lambda: world.worker(puppet).run("t")).until("wait")
    assert kinds(world) == []
    puppet.die()


def test_a_queued_task_that_is_not_in_line_is_put_there(tmp_path: Path) -> None:
    """Redis came back empty, or the client died before it could enqueue; but the client gets a moment to do so."""
    world = World(tmp_path)
    at = world.clock()
    world.services.store.insert({"_id": "t", "status": "queued", "seq": 0, "image": "busybox", "created_at": at})
    assert kinds(world) == []
    world.clock.advance(60)
    assert kinds(world) == [Kind.ENQUEUE]
    world.sweep().once(30)
    assert world.queue.first(10).task_ids == {"t"}
    assert kinds(world) == []


def test_a_task_in_line_waits_there(tmp_path: Path) -> None:
    """However long the line is."""
    world = World(tmp_path)
    world.client.submit(REQUEST, "t")
    world.clock.advance(3600)
    assert kinds(world) == []


@pytest.mark.parametrize(("method", "nth"), [("publish", 4), ("remove", 1), ("settle", 1)])
def test_an_end_whose_worker_died_is_published_and_released(tmp_path: Path, method: str, nth: int) -> None:
    """The outbox is repaired in order, and nothing of the task is left."""
    world = died(tmp_path, method, nth)
    assert Kind.SETTLE in kinds(world)
    world.sweep().once(30)
    task = world.client.get("t")
    assert task.settled
    assert list(dict.fromkeys(world.published)) == Event.all_of(task, deployment=world.services.deployment)
    assert not world.engine.containers
    assert kinds(world) == []


def test_what_belongs_to_no_task_is_removed_and_strangers_are_not_touched(tmp_path: Path) -> None:
    """Only what has our labels is ours; a folder is ours by its name."""
    world = died(tmp_path, "wait", 1, program=FOREVER)
    world.services.store._documents.clear()
    (world.settings.spool_dir / "memory" / world.services.deployment / "strange").mkdir()
    stranger = Puppet("stranger")
    other = World(tmp_path / "other", {PROGRAM: FOREVER})
    other.engine._containers = world.engine._containers
    other.client.submit(REQUEST, "s")
    stranger.act("run", lambda: other.worker(stranger).run("s")).until("wait")
    assert sorted(kinds(world)) == [Kind.DISCARD, Kind.REMOVE]
    world.sweep().once(30)
    assert world.engine.containers == {"orchestrator-s-1"}
    assert kinds(world) == []
    stranger.die()


def test_what_is_young_is_left_alone(tmp_path: Path) -> None:
    """Its task may be about to be known."""
    world = died(tmp_path, "wait", 1, program=FOREVER)
    world.services.store._documents.clear()
    world.engine.age_of_owned = -2.0
    assert Kind.REMOVE not in kinds(world)


def test_one_worker_sweeps_at_a_time(tmp_path: Path) -> None:
    """The others have nothing to do."""
    world = died(tmp_path, "wait", 1)
    sweep = world.sweep()
    name = f"sweep:{world.services.deployment}:{world.engine.identity()}"
    with world.services.lock.hold(name, 30):
        assert sweep.once(30) == []
    assert sweep.once(30) != []


def test_planning_does_nothing(tmp_path: Path) -> None:
    """A dry run only tells."""
    world = died(tmp_path, "wait", 1)
    before = world.services.store.find("t")
    assert kinds(world) == kinds(world) != []
    assert world.services.store.find("t") == before


def test_an_engine_without_workers_is_waited_for_and_then_given_up(tmp_path: Path) -> None:
    """Its containers cannot be adopted elsewhere, so a new attempt is made there."""
    world = World(tmp_path, {PROGRAM: Program(stdout=b"out")}, hosts=("a", "b"))
    world.client.submit(REQUEST, "t")
    world.queue.take()
    with pytest.raises(Killed):
        world.worker(Process([Fault("wait", 1, When.BEFORE, Killed())]), host="a").run("t")
    world.expire_leases()
    assert world.sweep(host="b").plan() == []
    assert [action.kind for action in world.sweep(host="a").plan()] == [Kind.ADOPT]
    world.clock.advance(world.settings.engine_patience)
    assert [action.kind for action in world.sweep(host="b").plan()] == [Kind.TAKE_OVER]
    world.sweep(host="b").once(30)
    assert world.client.get("t").status is State.SUCCEEDED
    world.sweep(host="a").once(30)
    assert not world.engines["a"].containers


def test_a_document_that_cannot_be_read_stops_nothing(tmp_path: Path) -> None:
    """The others are seen to all the same."""
    world = died(tmp_path, "wait", 1)
    world.services.store.insert({"_id": "bad", "status": "running", "seq": "many", "history": 5})
    world.sweep().once(30)
    assert world.client.get("t").status is State.SUCCEEDED


def test_an_action_that_fails_holds_up_nothing_else(tmp_path: Path) -> None:
    """It is left for a later sweep, and what was done is what is told."""
    world = World(tmp_path)
    for name in ("a", "b", "c"):
        world.client.submit(REQUEST, name)
        world.queue.take()
    world.clock.advance(60)
    failing = Process([Fault("enqueue", 1, When.BEFORE, InfrastructureError("redis", "away"))])
    done = world.sweep(failing).once(30)
    assert failing.calls["enqueue"] == 3
    assert {action.subject for action in done} == world.queue.first(10).task_ids
    assert len(done) == 2
    (left,) = world.sweep().once(30)
    assert {*world.queue.first(10).task_ids} == {"a", "b", "c"}
    assert left not in done


def test_an_engine_that_refuses_to_clean_up_keeps_no_task_from_its_worker(tmp_path: Path) -> None:
    """Tasks come first, and each container is a trouble of its own."""
    world = died(tmp_path, "wait", 1)
    for task_id in ("u", "v"):
        puppet = Puppet(task_id)
        world.client.submit(REQUEST, task_id)
        puppet.act("run", lambda puppet=puppet, task_id=task_id: world.worker(puppet).run(task_id)).until("wait")
        puppet.die()
        del world.services.store._documents[_key(task_id)]
    process = Process([Fault("remove", 2, When.BEFORE, InfrastructureError("docker", "busy"))])
    done = [(action.kind, action.subject) for action in world.sweep(process).once(30)]
    assert done[0] == (Kind.ADOPT, "t")
    assert world.client.get("t").status is State.SUCCEEDED
    assert len([kind for kind, _ in done if kind is Kind.REMOVE]) == 1
    assert len(world.engine.containers) == 1
    world.sweep().once(30)
    assert not world.engine.containers


IMPOSSIBLE = datetime(9999, 12, 31, tzinfo=UTC)


@pytest.mark.parametrize(
    "strange",
    [
        {"created_at": IMPOSSIBLE},
        {"lease": {"worker": "nobody", "token": "x", "expires_at": IMPOSSIBLE}},
    ],
    ids=["made in the future", "held for ever"],
)
def test_a_time_that_cannot_be_holds_up_no_queued_task(tmp_path: Path, strange: dict[str, object]) -> None:
    """A foreign hand or a wrong clock wrote it."""
    world = World(tmp_path)
    world.services.store.insert({"_id": "t", "status": "queued", "image": "busybox", **strange})
    world.sweep().once(30)
    assert world.queue.take() == "t"
    ended = world.worker().run("t")
    assert ended
    assert ended.status is State.SUCCEEDED


def test_a_lease_that_ends_in_the_far_future_holds_up_no_running_task(tmp_path: Path) -> None:
    """No worker takes one that is longer than an hour."""
    world = died(tmp_path, "wait", 1)
    document = dict(world.services.store.find("t"))
    world.services.store._save({**document, "lease": {**document["lease"], "expires_at": IMPOSSIBLE}})
    assert kinds(world) == [Kind.ADOPT]
    world.sweep().once(30)
    assert world.client.get("t").status is State.SUCCEEDED
    assert list(world.engine.starts.values()) == [1]


def test_a_line_longer_than_is_looked_at_grows_by_one_entry_for_each_task_at_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tasks that are not seen in it may stand further back: all of them again, each time, would make it endless."""
    monkeypatch.setattr(sweep_module, "_LINE", 5)
    world = World(tmp_path)
    for number in range(10):
        world.client.submit(REQUEST, f"t{number}")
    world.clock.advance(60)
    sweep = world.sweep()
    for further in range(1, 6):
        assert [action.kind for action in sweep.once(30)] == [Kind.ENQUEUE]
        assert len(world.queue._waiting) == 10 + further
    for _ in range(20):
        assert sweep.once(30) == []
    world.services.store.insert({"_id": "lost", "status": "queued", "image": "busybox", "created_at": world.clock()})
    world.clock.advance(60)
    assert [action.subject for action in sweep.once(30)] == ["lost"]


def test_a_fault_that_one_task_meets_keeps_the_sweep_from_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is logged, and the next sweep tries again."""
    world = World(tmp_path)
    for task_id in ("odd", "even"):
        world.services.store.insert({"_id": task_id, "status": "queued", "image": "busybox", "created_at": world.clock()})
    world.clock.advance(60)
    put = world.queue.enqueue

    def enqueue(task_id: str, info: JobInfo) -> None:
        if task_id == "odd":
            raise TypeError("a bug")
        put(task_id, info)

    monkeypatch.setattr(world.queue, "enqueue", enqueue)
    assert [action.subject for action in world.sweep().once(30)] == ["even"]


def test_forged_leases_hide_no_task_that_is_lost(tmp_path: Path) -> None:
    """Hundreds of documents that somebody inserted as if they were held, and as if they were old."""
    world = died(tmp_path, "wait", 1)
    world.services.store.insert({"_id": "lost", "status": "queued", "image": "busybox", "created_at": world.clock()})
    lease = {"worker": "nobody", "token": "x", "expires_at": world.clock() + timedelta(minutes=50)}
    for number in range(300):
        for status in ("queued", "running", "failed"):
            forged = {"_id": f"{status}-{number}", "status": status, "settled": False, "lease": lease, "image": "busybox"}
            world.services.store.insert(forged)
    world.clock.advance(60)
    assert {(action.kind, action.subject) for action in world.sweep().plan()} == {(Kind.ADOPT, "t"), (Kind.ENQUEUE, "lost")}


def test_tasks_in_line_hide_none_that_is_not(tmp_path: Path) -> None:
    """However many wait there."""
    world = World(tmp_path)
    for number in range(250):
        world.client.submit(REQUEST, f"t{number}")
    world.services.store.insert({"_id": "lost", "status": "queued", "image": "busybox", "created_at": world.clock()})
    world.clock.advance(60)
    assert [action.subject for action in world.sweep().plan()] == ["lost"]


def test_a_task_that_this_process_holds_is_not_lost(tmp_path: Path) -> None:
    """Its lease has run out, and the renewal is on its way to a slow database."""
    world = World(tmp_path, {PROGRAM: FOREVER})
    world.client.submit(REQUEST, "t")
    world.queue.take()
    puppet = Puppet("worker")
    services = world.process(puppet)
    puppet.act("run", lambda: services.runner.run("t")).until("wait")
    world.expire_leases()
    assert services.sweep(services.runner.run).plan() == []
    assert kinds(world) == [Kind.ADOPT]
    puppet.die()


def test_a_worker_without_a_place_leaves_the_rest_for_later(tmp_path: Path) -> None:
    """What follows in the same sweep is done all the same."""
    world = died(tmp_path, "wait", 1)
    world.services.store.insert({"_id": "other", "status": "running", "image": "busybox"})
    world.services.store.insert({"_id": "lost", "status": "queued", "image": "busybox"})
    asked: list[str] = []

    def adopt(task_id: str, _: str) -> None:
        asked.append(task_id)
        raise Postponed("full")

    services = world.process()
    assert [action.subject for action in services.sweep(adopt).once(30)] == ["lost"]
    assert len(asked) == 1


def test_a_spool_without_a_level_of_nonces_is_not_taken_for_a_deleted_tasks(tmp_path: Path) -> None:
    """Its folders are those of holders; while the task is there and has not ended, they are left alone."""
    world = died(tmp_path, "wait", 1, program=FOREVER)
    spool = world.settings.spool_dir / "memory" / world.services.deployment / "orchestrator-t-1"
    (nonce,) = spool.iterdir()
    (holder,) = nonce.iterdir()
    holder.rename(spool / "a later holder")
    nonce.rmdir()
    assert Kind.DISCARD not in kinds(world)
    world.services.store._documents.clear()
    assert Kind.DISCARD in kinds(world)
