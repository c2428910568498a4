"""A database is judged by what this host remembers, and a missing container by the engine that made it."""

from datetime import timedelta
from pathlib import Path

import pytest

from orchestrator import tasks
from orchestrator.cause import Cause
from orchestrator.errors import WrongDatabase
from orchestrator.ports import Origin, Phase
from orchestrator.reconcile.database_identity import Memory, objection
from orchestrator.reconcile.reconciler import Kind, end_overdue
from orchestrator.settings.settings import Settings
from orchestrator.task.labels import LIFETIME
from orchestrator.testing.programs import FOREVER, Program
from statemachine import State
from tests.support.faults import Fault, Killed, Process, When
from tests.support.world import World

PROGRAM = ("program",)
REQUEST = {"image": "busybox", "command": [*PROGRAM]}


@pytest.mark.parametrize(
    ("origin", "known", "begun_as", "words"),
    [
        (Origin("a", "1", "1"), "", "", ""),
        (Origin("a", "1", "1"), "a", "a", ""),
        (Origin("a"), "a", "", ""),
        (Origin("a", "2", ""), "a", "", ""),
        (Origin("a", "2", "1"), "a", "a", "is a copy"),
        (Origin("b", "1", "1"), "a", "", "this host works for a"),
        (Origin("", "1"), "a", "", "the database is empty or new, and this host works for a"),
        (Origin("b", "1", "1", frozenset({"a"})), "a", "", ""),
        (Origin("b", "1", "1"), "b", "a", "this host works for a"),
        (Origin("b", "1", "1", frozenset({"a"})), "b", "a", "restart it"),
    ],
)
def test_a_database_is_the_deployments_own_or_a_sentence_says_why_not(
    origin: Origin, known: str, begun_as: str, words: str
) -> None:
    """A server that does not tell its id is believed; an id that the operator gave up is no obstacle."""
    why = objection(origin, known, begun_as)
    assert words in why
    assert bool(why) == bool(words)


def test_a_host_remembers_one_deployment_for_each_database(tmp_path: Path) -> None:
    """Over restarts; two databases of one host are told apart, and a folder that cannot be had holds nothing up."""
    one, other = (Memory.of(Settings(spool_dir=tmp_path / "spool", mongo_db_name=name)) for name in ("one", "other"))
    one.keep("a")
    one.keep("b")
    assert (one.known, other.known) == ("b", "")
    file = tmp_path / "file"
    file.touch()
    nowhere = Memory(file / "spool", "one")
    nowhere.keep("a")
    assert nowhere.known == ""


def test_a_process_halts_while_its_database_is_a_copy(tmp_path: Path) -> None:
    """It goes on by itself once the operator has said which one is live; what it remembers is no copy's id."""
    services = World(tmp_path).services
    services.store.deployment()
    original = services.store.database
    services.store.database = "restored"
    services.look()
    assert "is a copy" in services.halted
    assert Memory.of(services.settings).known == ""
    services.store.database = original
    services.look()
    assert services.halted == ""
    assert Memory.of(services.settings).known == services.deployment


def test_a_job_is_not_run_while_the_process_is_halted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also not by RQ's own worker, which knows nothing of that; the task stays queued."""
    world = World(tmp_path)
    world.client.submit(REQUEST, "t")
    world.services.store.database = "restored"
    world.services.look()
    monkeypatch.setattr(tasks, "services", lambda: world.services)
    with pytest.raises(WrongDatabase, match="is a copy"):
        tasks.run_task("t")
    assert world.client.get("t").status is State.QUEUED


def test_a_job_is_judged_by_a_look_that_is_no_older_than_the_sweeps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """RQ's own worker has no sweep that looks, and its process may see the database become a copy and the own one again."""
    world = World(tmp_path, settings=Settings(sweep_interval=1e-9))
    monkeypatch.setattr(tasks, "services", lambda: world.services)
    world.client.submit(REQUEST, "t")
    world.services.look()
    original = world.services.store.database
    world.services.store.database = "restored"
    with pytest.raises(WrongDatabase, match="is a copy"):
        tasks.run_task("t")
    world.services.store.database = original
    assert tasks.run_task("t")


def test_a_look_that_is_young_is_not_repeated_for_a_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sweep of this package's worker looks often enough."""
    world = World(tmp_path)
    monkeypatch.setattr(tasks, "services", lambda: world.services)
    world.client.submit(REQUEST, "t")
    world.services.look()
    world.services.store.database = "restored"
    assert tasks.run_task("t")


def test_what_is_cancelled_in_a_copy_is_only_asked_for(left: World) -> None:
    """The original's container has the nonce and the deployment of the copy's task, which waited when the copy was made."""
    document = dict(left.services.store.find("t") or {})
    queued = {**document, "status": "queued", "seq": 0, "history": [], "container": None}
    left.services.store._save({name: value for name, value in queued.items() if value is not None})
    left.services.store.database = "restored"
    assert left.client.cancel("t").status is State.QUEUED
    assert (left.services.store.find("t") or {})["cancel_requested_at"]
    assert left.engine.inspect("orchestrator-t-1").phase is Phase.RUNNING


@pytest.fixture
def left(tmp_path: Path) -> World:
    """A world whose worker died while the program ran."""
    world = World(tmp_path, {PROGRAM: Program(seconds=FOREVER.seconds)})
    world.client.submit({**REQUEST, "limits": {"timeout": 100}}, "t")
    with pytest.raises(Killed):
        world.worker(Process([Fault("wait", 1, When.BEFORE, Killed())])).run("t")
    world.expire_leases()
    return world


def test_a_missing_container_is_not_lost_while_it_may_run_on_another_machine(left: World) -> None:
    """With the start of its engine known, it is lost at once where that has it, and elsewhere once its time is over."""
    left.engine.remove("orchestrator-t-1", left.services.deployment)
    left.engine.started_as = "another machine"
    assert left.worker().run("t") is None
    assert left.client.get("t").status is State.RUNNING
    left.engine.started_as = "memory"
    lost = left.worker().run("t")
    assert lost
    assert lost.cause is Cause.CONTAINER_LOST


def test_a_missing_container_is_lost_once_its_program_cannot_run_any_more(left: World) -> None:
    """Its engine was restarted, and somebody removed it meanwhile: then there is an end to waiting."""
    left.engine.remove("orchestrator-t-1", left.services.deployment)
    left.engine.started_as = "another start"
    document = dict(left.services.store.find("t") or {})
    document["started_at"] -= timedelta(seconds=300)
    left.services.store._save(document)
    lost = left.worker().run("t")
    assert lost
    assert lost.cause is Cause.CONTAINER_LOST


def test_a_container_of_an_earlier_id_of_the_deployment_is_left_alone(left: World) -> None:
    """Its nonce proves that it is the task's; it is neither lost nor touched until somebody takes the earlier id."""
    old = left.services.store.deployment()
    left.services.store.settle_in("new")
    assert left.worker().run("t") is None
    assert left.client.get("t").status is State.RUNNING
    assert left.engine.inspect("orchestrator-t-1").phase is Phase.RUNNING
    left.services.store.settle_in(old, ["new"])
    task = left.worker().run("t")
    assert task
    assert (task.status, task.attempt) == (State.TIMED_OUT, 1)


def test_a_jump_of_the_engines_clock_ends_no_program_that_this_process_watches(left: World) -> None:
    """Its own clock goes on as before."""
    left.engine._now += timedelta(days=1)
    end_overdue(left.engine, 0, lambda task_id: task_id == "t")
    assert left.engine.inspect("orchestrator-t-1").phase is Phase.RUNNING


def test_a_program_is_ended_once_its_lifetime_is_over_and_not_before(left: World) -> None:
    """The next holder finds that its time was up."""
    lifetime = int(left.engine.inspect("orchestrator-t-1").labels[LIFETIME])
    assert lifetime > 100
    left.engine._now += timedelta(seconds=lifetime - 1)
    end_overdue(left.engine, 0)
    assert left.engine.inspect("orchestrator-t-1").phase is Phase.RUNNING
    left.engine._now += timedelta(seconds=2)
    end_overdue(left.engine, 0)
    assert left.engine.inspect("orchestrator-t-1").phase is Phase.EXITED
    task = left.worker().run("t")
    assert task
    assert (task.status, task.attempt) == (State.TIMED_OUT, 1)


def test_a_database_that_becomes_another_in_the_midst_of_a_sweep_costs_no_container(left: World) -> None:
    """It was the deployment's own when the sweep began, and empty when the sweep asked for the container's task."""
    services = left.process(name="sweeper")
    services.look()
    sweep = services.sweep(lambda *_: None)
    left.services.store._documents.clear()
    left.services.store.settle_in("another")
    assert Kind.REMOVE not in [action.kind for action in sweep.once(30)]
    assert left.engine.inspect("orchestrator-t-1").phase is Phase.RUNNING
    left.services.store.settle_in(sweep.deployment)
    assert Kind.REMOVE in [action.kind for action in services.sweep(lambda *_: None).once(30)]
