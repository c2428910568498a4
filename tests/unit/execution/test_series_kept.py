"""What a program used over time is stored beside its log, told in its document, and goes with the log."""

import errno
import hashlib
from pathlib import Path

import pytest

from orchestrator.client import Client
from orchestrator.errors import STORAGE, InfrastructureError
from orchestrator.execution.steps import upload
from orchestrator.outcome.series import Recording, Series
from orchestrator.ports import Part
from orchestrator.task.document import Task
from tests.support.world import World

REQUEST = {"image": "busybox", "command": ["true"]}
SERIES = Series(1, 1.0, ("t", "cpu_percent"), ((0.1, 5.0), (1.1, 50.0)))


@pytest.fixture
def _measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Recording, "series", lambda _: SERIES)


def ended(world: World) -> Task:
    """Run one task to its end."""
    world.client.submit(REQUEST, "t")
    task = world.worker().run("t")
    assert task
    return task


def keys(world: World) -> list[str]:
    """The objects there are."""
    return [found.key for found in world.services.logs.listed()]


@pytest.mark.usefixtures("_measured")
def test_it_is_stored_and_told(tmp_path: Path) -> None:
    """With its size and checksum, as a log is; a client reads it back."""
    world = World(tmp_path)
    task = ended(world)
    assert task.metrics
    told = task.metrics.series
    content = SERIES.to_json()
    assert told
    assert (told.bytes, told.sha256, told.points) == (len(content), hashlib.sha256(content).hexdigest(), 2)
    assert told.key == f"t/1/series-{told.sha256[:16]}.json"
    assert b"".join(world.services.logs.get(told.key)) == content
    assert world.client.series("t") == world.client.series("t", 1) == SERIES
    assert world.client.series("t", 2) is None
    assert task.metrics.duration_s == 0.0


@pytest.mark.usefixtures("_measured")
def test_it_goes_with_the_log_and_with_the_task(tmp_path: Path) -> None:
    """By retention and by deletion; the document still tells that there was one."""
    world = World(tmp_path)
    task = ended(world)
    world.services.removal.strip({"t": task.nonce}, Part.LOGS)
    assert keys(world) == []
    assert world.client.series("t") is None
    world.client.delete("t")
    ended(world)
    assert len(keys(world)) == 1
    world.client.delete("t")
    assert keys(world) == []


def test_a_short_program_has_none(tmp_path: Path) -> None:
    """No object, and nothing to read."""
    world = World(tmp_path)
    task = ended(world)
    assert task.metrics
    assert task.metrics.series is None
    assert keys(world) == []
    assert world.client.series("t") is None


@pytest.mark.usefixtures("_measured")
def test_for_want_of_room_it_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The log matters more."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(upload, "write_all", full)
    world = World(tmp_path)
    task = ended(world)
    assert task.status == "succeeded"
    assert task.metrics
    assert task.metrics.series is None


@pytest.mark.usefixtures("_measured")
def test_what_a_foreign_hand_put_there_is_refused(tmp_path: Path) -> None:
    """An object that is no series is told of as such."""
    world = World(tmp_path)
    task = ended(world)
    assert task.metrics
    assert task.metrics.series
    junk = tmp_path / "junk"
    junk.write_bytes(b"{}")
    world.services.logs.put(task.metrics.series.key, junk, hashlib.sha256(b"{}").hexdigest())
    with pytest.raises(Exception, match="cannot be read: it is no series of points"):
        Client(world.services).series("t")


@pytest.mark.usefixtures("_measured")
def test_while_storage_is_away_it_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that printed nothing has nothing else to be stored, so it succeeds."""
    world = World(tmp_path)

    def away(*_: object) -> None:
        raise InfrastructureError(STORAGE, "connection refused")

    monkeypatch.setattr(type(world.services.logs), "put", away)
    task = ended(world)
    assert task.status == "succeeded"
    assert task.metrics
    assert task.metrics.series is None
