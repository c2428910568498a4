"""Objects without a task are found and removed; what is young, or not the worker's, is not touched."""

import hashlib
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from orchestrator.app import now
from orchestrator.cli import main
from orchestrator.client import Client
from orchestrator.errors import WrongDatabase
from orchestrator.reconcile import stray_objects as module
from tests.support.world import World
from tests.unit.reconcile.test_removal import ended, keys

DAY = 86400.0
SUM = "0123456789abcdef"
STRAYS = [f"gone/1/artifacts/{SUM}-{SUM}", f"gone/1/stdout-{SUM}.log", f"gone/2/stdout-{SUM}.log", f"zone/1/stderr-{SUM}.log"]
FOREIGN = ["README", "backup/2030/dump", f"a b/1/stdout-{SUM}.log", f"/1/stdout-{SUM}.log", "gone/README", "zone/1/stdout.log"]


def littered(folder: Path) -> World:
    """A world with two tasks, objects of tasks that are gone, and what others have put into the bucket; all a week old."""
    world = ended(folder)
    logs, file = world.services.logs, folder / "file"
    file.write_bytes(b"x")
    for key in [*STRAYS, *FOREIGN]:
        logs.put(key, file, hashlib.sha256(b"x").hexdigest())
    logs._modified = dict.fromkeys(logs._modified, now() - timedelta(days=7))
    return world


def test_objects_without_a_task_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Page by page; nothing else is."""
    monkeypatch.setattr(module, "_PAGE", 3)
    world = littered(tmp_path)
    before = {*keys(world)}
    strays = world.process().stray_objects(DAY)
    assert [*strays.found()] == STRAYS
    assert strays.count() == (4, 2)
    assert {*keys(world)} == before
    assert [*strays.remove()] == STRAYS
    assert {*keys(world)} == before - {*STRAYS}
    assert [*strays.remove()] == []


def test_what_is_young_is_left_alone(tmp_path: Path) -> None:
    """Its task may be about to be seen."""
    world = littered(tmp_path)
    world.services.logs._modified[STRAYS[0]] = now() - timedelta(hours=23)
    assert [*world.process().stray_objects(DAY).remove()] == STRAYS[1:]
    assert [*world.process().stray_objects(8 * DAY).remove()] == []
    assert STRAYS[0] in keys(world)


def test_whatever_a_worker_stores_is_found_without_its_task(tmp_path: Path) -> None:
    """The keys of logs and artifacts of all attempts."""
    world = littered(tmp_path)
    world.services.store._documents.clear()
    assert [*world.process().stray_objects(DAY).remove()]
    assert {*keys(world)} == {*FOREIGN}


def test_a_copy_of_the_database_removes_nothing(tmp_path: Path) -> None:
    """It may lack tasks whose objects are there."""
    world = littered(tmp_path)
    world.services.deployment  # noqa: B018  it is noted now
    world.services.store.database = "a copy"
    with pytest.raises(WrongDatabase):
        [*world.process().stray_objects(DAY).remove()]
    assert {*STRAYS} <= {*keys(world)}


def swept(world: World, *options: str, answer: str = "") -> Result:
    """The command."""
    client = Client(world.process())
    return CliRunner().invoke(main, ["sweep", "--objects", *options], obj=client, input=answer, catch_exceptions=False)


def test_the_command_asks_before_it_removes(tmp_path: Path) -> None:
    """For another database may have its objects in the bucket; a dry run only tells."""
    world = littered(tmp_path)
    before = keys(world)
    assert swept(world, "--dry-run").stdout.splitlines() == [f"remove object {key}: its task is unknown" for key in STRAYS]
    assert swept(world, answer="n\n").exit_code == 1
    assert keys(world) == before
    result = swept(world, answer="y\n")
    assert "Remove 4 objects of 2 tasks that are unknown to this database?" in result.stdout
    assert keys(world) == [key for key in before if key not in STRAYS]
    assert swept(littered(tmp_path / "again"), "--yes").stdout.count("remove object") == 4


@pytest.mark.parametrize("grace", ["30s", "0", "soon", "59m"])
def test_a_grace_is_an_hour_at_least(tmp_path: Path, grace: str) -> None:
    """An object is there before its document says so."""
    world = littered(tmp_path)
    assert swept(world, "--yes", "--object-grace", grace).exit_code == 2
    assert swept(world, "--yes", "--object-grace", "8d").stdout == ""
