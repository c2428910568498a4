"""Retention: what has been kept for long enough goes, the document tells, and a crash leaves nothing that nobody finds."""

import time
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from attrs import evolve
from click.testing import CliRunner

from orchestrator.app import now
from orchestrator.cli import main
from orchestrator.errors import InfrastructureError, InvalidTask, UnknownTask
from orchestrator.ports import Stream
from orchestrator.reconcile import removal
from orchestrator.reconcile import retention as module
from orchestrator.reconcile.reconciler import Kind
from orchestrator.reconcile.removal import Removal
from orchestrator.settings.settings import Settings
from orchestrator.worker.reconcile_loop import Keeper
from tests.support.faults import Fault, Killed, Process, When
from tests.support.world import World
from tests.unit.reconcile.test_removal import FATES, KEPT, REQUEST, ended, keys, owners, world_of

DAY = 86400.0
TIMES = evolve(KEPT, keep_tasks=30 * DAY, keep_logs=7 * DAY, keep_artifacts=14 * DAY)


def aged(folder: Path, days: float, settings: Settings = TIMES) -> World:
    """A world whose tasks ended so many days ago by the database's clock."""
    world = ended(folder, settings)
    world.clock.advance(days * DAY)
    return world


def done(world: World, process: Process | None = None) -> list[tuple[Kind, str]]:
    """What one sweep of retention does."""
    return sorted((action.kind, action.subject) for action in world.process(process).retention.once(30))


def test_a_worker_whose_clock_is_years_behind_loses_nothing(tmp_path: Path) -> None:
    """It writes the end of its tasks by the database's clock."""
    world = world_of(tmp_path, TIMES)
    assert world.clock() - now() > timedelta(days=365)
    world.client.submit({**REQUEST, "keep": 60}, "t")
    ended = world.worker().run("t")
    assert ended is not None
    assert ended.finished_at - world.clock() < timedelta(minutes=1)
    assert done(world) == []
    world.clock.advance(120)
    assert done(world) == [(Kind.DELETE, "t")]


def test_what_is_young_is_kept(tmp_path: Path) -> None:
    """All of it."""
    world = aged(tmp_path, 6.9)
    before = keys(world)
    assert done(world) == []
    assert keys(world) == before


def test_logs_go_before_artifacts_and_these_before_the_task(tmp_path: Path) -> None:
    """Each at its time, of all attempts; the document tells, and so does who asks for them."""
    world = aged(tmp_path, 7.1)
    assert done(world) == [(Kind.REMOVE_LOGS, "t"), (Kind.REMOVE_LOGS, "t1")]
    assert {key.split("/")[2] for key in keys(world)} == {"artifacts"}
    task = world.client.get("t")
    assert task.logs.stdout.bytes == 3
    assert abs(task.logs_removed_at - world.clock()) < timedelta(seconds=1)
    with pytest.raises(UnknownTask, match="the logs of task 't' were kept for a time only: removed on 2"):
        world.client.logs("t", Stream.STDOUT)
    with pytest.raises(UnknownTask, match="kept for a time only"):
        world.client.logs("t", Stream.STDOUT, attempt=1)
    assert b"".join(world.client.artifact("t", "a")) == b"first"
    assert done(world) == []
    world.clock.advance(7 * DAY)
    assert done(world) == [(Kind.REMOVE_ARTIFACTS, "t"), (Kind.REMOVE_ARTIFACTS, "t1")]
    assert keys(world) == []
    assert [artifact.path for artifact in world.client.artifacts("t")] == ["a", "b"]
    with pytest.raises(UnknownTask, match="the artifacts of task 't' were kept for a time only: removed on 2"):
        world.client.artifact("t", "a")
    assert done(world) == []
    world.clock.advance(16 * DAY)
    assert done(world) == [(Kind.DELETE, "t"), (Kind.DELETE, "t1")]
    assert world.client.list() == []


def test_the_command_line_tells_of_what_was_removed(tmp_path: Path) -> None:
    """`logs` ends with the sentence, and `show` and `artifacts` tell."""
    world = aged(tmp_path, 15)
    done(world)

    def call(*arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(main, arguments, obj=world.client, catch_exceptions=False)
        return result.exit_code, result.output

    assert call("logs", "t") == (
        1,
        f"Error: the logs of task 't' were kept for a time only: removed on {world.clock():%Y-%m-%d}\n",
    )
    assert "artifacts were removed on" in call("artifacts", "t")[1]
    assert "logs were removed on" in call("show", "t")[1]
    assert "artifacts were removed on" in call("show", "t")[1]


@pytest.mark.parametrize("kept", [{"keep_tasks": 0.0}, {"keep_logs": 0.0}, {"keep_artifacts": 0.0}], ids=str)
def test_nothing_goes_for_a_time_of_0(tmp_path: Path, kept: dict[str, float]) -> None:
    """The task is kept for ever, its output as long as the task."""
    world = aged(tmp_path, 29, evolve(TIMES, **kept))
    kinds = {kind for kind, _ in done(world)}
    assert kinds == {Kind.REMOVE_LOGS, Kind.REMOVE_ARTIFACTS} - {
        {"keep_logs": Kind.REMOVE_LOGS, "keep_artifacts": Kind.REMOVE_ARTIFACTS}.get(next(iter(kept)))
    }
    world.clock.advance(10000 * DAY)
    done(world)
    assert bool(world.client.list()) is ("keep_tasks" in kept)


def test_output_that_is_kept_as_long_as_its_task_goes_with_it(tmp_path: Path) -> None:
    """Without a write of its own."""
    world = aged(tmp_path, 31, evolve(TIMES, keep_logs=30 * DAY, keep_artifacts=60 * DAY))
    assert done(world) == [(Kind.DELETE, "t"), (Kind.DELETE, "t1")]
    assert keys(world) == []


@pytest.mark.parametrize("when", When)
@pytest.mark.parametrize("fate", FATES, ids=["killed", "away"])
@pytest.mark.parametrize("days", [8, 15, 31])
def test_what_breaks_anywhere_is_done_by_the_next_sweep(tmp_path: Path, days: float, when: When, fate: BaseException) -> None:
    """On both sides: no object without its task, and no task that says that it has what is gone for good."""
    whole, process = aged(tmp_path / "whole", days), Process()
    expected = done(whole, process)
    state = keys(whole), [(task.id, task.logs_removed_at is None) for task in whole.client.list()]
    calls = [(name, number) for name, count in process.calls.items() for number in range(1, count + 1)]
    assert expected
    assert calls
    for place, (method, nth) in enumerate(calls):
        world = aged(tmp_path / str(place), days)
        try:
            done(world, Process([Fault(method, nth, when, fate)]))
        except (Killed, InfrastructureError):
            world.services.lock._held.clear()
        done(world)
        assert (keys(world), [(task.id, task.logs_removed_at is None) for task in world.client.list()]) == state, (method, nth)
        assert done(world) == []


@pytest.mark.parametrize(("keep", "days"), [("1d", 1), (40 * DAY, 40), (0, None), ("200d", 100)], ids=str)
def test_a_task_may_say_how_long_it_is_kept(tmp_path: Path, keep: object, days: float | None) -> None:
    """With all that it has, whatever the settings say, up to KEEP_MAX, also where the task never came to be checked."""
    most = 100 * DAY if days == 100 else 0.0
    world = world_of(tmp_path, evolve(TIMES, keep_max=most))
    world.services.store.insert({**REQUEST, "_id": "t", "status": "queued", "keep": keep})
    if most:
        world.client.cancel("t")
    else:
        world.worker().run("t")
        assert len(keys(world)) == 3
    before = keys(world)
    for share in (0.9, 0.2):
        world.clock.advance((days or 10000) * DAY * share)
        found = done(world)
        assert found == ([] if share == 0.9 or days is None else [(Kind.DELETE, "t")])
        assert keys(world) == (before if not found else [])


def test_a_longer_time_than_is_granted_is_refused(tmp_path: Path) -> None:
    """Like any other field that asks for too much."""
    client = world_of(tmp_path, evolve(TIMES, keep_max=DAY)).client
    with pytest.raises(InvalidTask, match="keep: 86401 is above the ceiling of 86400"):
        client.submit({**REQUEST, "keep": 86401})
    with pytest.raises(InvalidTask, match="keep: for ever is above the ceiling of 86400"):
        client.submit({**REQUEST, "keep": 0})
    client.submit({**REQUEST, "keep": "1d"})


def test_one_worker_removes_at_a_time(tmp_path: Path) -> None:
    """The others have nothing to do."""
    world = aged(tmp_path, 31)
    with world.services.lock.hold(f"retention:{world.services.deployment}", 30):
        assert done(world) == []
    assert len(done(world)) == 2


def test_a_sweep_of_it_ends_when_its_time_is_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In batches, of which it does one at least: what is left is for the next one."""
    monkeypatch.setattr(module, "_BATCH", 1)
    world = aged(tmp_path, 31, evolve(TIMES, keep_logs=0, keep_artifacts=0))
    at, delete = [0.0], Removal.delete

    def slow(removal: Removal, nonces: dict[str, object]) -> frozenset[str]:
        at[0] += 1.5
        return delete(removal, nonces)

    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: at[0]))
    monkeypatch.setattr(Removal, "delete", slow)
    assert len(world.process().retention.once(1)) == 1
    assert len(world.client.list()) == 1
    assert len(world.process().retention.once(0)) == 1
    assert len(world.client.list()) == 0


def test_a_batch_that_fails_holds_up_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is left for later, and what was done is what is told."""
    monkeypatch.setattr(module, "_BATCH", 1)
    world = aged(tmp_path, 31, evolve(TIMES, keep_logs=0, keep_artifacts=0))
    process = Process([Fault("remove", 1, When.BEFORE, InfrastructureError("s3", "refused"))])
    found = done(world, process)
    assert len({subject for _, subject in found}) == 2
    assert keys(world) == []


def test_a_plan_does_nothing(tmp_path: Path) -> None:
    """It tells what there is to do."""
    world = aged(tmp_path, 31)
    before = keys(world)
    found = {(action.kind, action.subject) for action in world.process().retention.plan()}
    assert (Kind.DELETE, "t") in found
    assert keys(world) == before
    assert len(world.client.list()) == 2


def test_what_a_foreign_hand_wrote_holds_up_nothing(tmp_path: Path) -> None:
    """Ids and nonces of other types, and what cannot be read."""
    world = aged(tmp_path, 31)
    at = world.clock() - timedelta(days=31)
    for task_id, nonce in [(5, "x"), ({"a": 1}, "x"), ("odd", {"$ne": 1}), ("list", ["x"]), ("dateless", "x")]:
        document = {"_id": task_id, "status": "failed", "settled": True, "nonce": nonce, "finished_at": at}
        world.services.store.insert(document if task_id != "dateless" else {**document, "finished_at": "then"})
    world.services.store.insert({"_id": "forged", "status": "queued", "settled": True, "finished_at": at})
    world.services.store.insert({"_id": "marked", "status": "queued", "deleting": {"token": "x", "at": at}})
    gone = {subject for kind, subject in done(world) if kind is Kind.DELETE}
    assert gone == {"t", "t1", "odd", "list"}
    assert owners(world) == set()
    assert done(world) == []


def test_a_database_that_turns_out_to_be_a_copy_loses_nothing(tmp_path: Path) -> None:
    """Its objects may be those of the original; it is no fault of the worker."""
    world = aged(tmp_path, 31)
    before = keys(world)
    world.services.deployment  # noqa: B018  it is noted now
    world.services.store.database = "a copy"
    assert done(world) == []
    assert keys(world) == before
    assert len(world.client.list()) == 2


def test_the_keeper_looks_once_a_minute_and_goes_on_while_there_is_more(tmp_path: Path) -> None:
    """Most sweeps cost no look at all."""
    world = aged(tmp_path, 31)
    process = Process()
    keeper = Keeper(world.process(process), lambda: False)
    keeper._retain()
    assert world.client.list() == []
    keeper._retain()
    looked = process.calls["expired"]
    keeper._retain()
    assert process.calls["expired"] == looked
    assert keeper._retain_at > time.monotonic() + 30


def test_a_slice_ends_within_a_task_that_has_many_objects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One request at least, so that each slice gets on; the task goes when all of its objects have gone."""
    monkeypatch.setattr(removal, "_REQUEST", 2)
    world = ended(tmp_path, KEPT)
    task = world.client.get("t")
    world.services.store.mark_deleting({"t": task.nonce}, "token")
    before, slices = len(keys(world)), 0
    while world.services.store.find("t") is not None:
        world.services.retention.once(-1.0)
        after, slices = len(keys(world)), slices + 1
        assert before - 2 <= after < before or world.services.store.find("t") is None
        before = after
    assert slices > 2
    assert not [key for key in keys(world) if key.startswith("t/")]
