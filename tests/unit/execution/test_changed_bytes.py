"""A byte of the spool changes between capture and upload: what is stored is what the program wrote, or does not pass as it."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from attrs import evolve

from orchestrator.errors import InfrastructureError
from orchestrator.execution.claim import Claim
from orchestrator.execution.steps.upload import Upload
from orchestrator.ports import Chunk, Stream
from orchestrator.task.document import Task
from orchestrator.task.values import Fields
from orchestrator.testing.programs import Program
from statemachine import State
from tests.support.faults import Fault, Process, When
from tests.support.tars import out
from tests.support.world import World

REQUEST = {"image": "busybox", "command": ["program"], "artifacts": ["."]}
WROTE = b"what the program wrote"


def meddled(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    meddle: Callable[[World, Path], None],
    *,
    tail: bool = False,
    process: Process | None = None,
) -> tuple[World, Task]:
    """Run a task to its end; before its first upload somebody meddles with the folder in which its output waits."""
    world = World(folder, {("program",): Program(stdout=WROTE, stderr=b"err", out=out(a=b"artifact"))})
    world.settings = evolve(world.settings, upload_budget=10.0)
    upload, done = Upload.__call__, list[Path]()

    def late(self: Upload, claim: Claim) -> Fields:
        if not done:
            done.append(claim.folder(self.deployment.spool_dir))
            meddle(world, done[0])
        return upload(self, claim)

    monkeypatch.setattr(Upload, "__call__", late)
    world.client.submit(REQUEST | ({"on_output_limit": "drop_middle"} if tail else {}), "t")
    task = world.worker(process).run("t")
    assert task
    assert done
    return world, task


def changed(path: Path) -> None:
    """Change the first byte of a file."""
    path.write_bytes(b"?" + path.read_bytes()[1:])


@pytest.mark.parametrize("tail", [False, True])
@pytest.mark.parametrize("meddle", [changed, lambda path: path.unlink(), lambda path: path.write_bytes(b"")])
def test_the_engines_log_makes_up_for_a_log_that_has_changed(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    meddle: Callable[[Path], None],
    tail: bool,  # noqa: FBT001
) -> None:
    """Whatever became of the file."""
    world, task = meddled(tmp_path, monkeypatch, lambda _, folder: meddle(folder / "stdout"), tail=tail)
    assert task.status is State.SUCCEEDED
    assert task.logs
    assert task.logs.stdout.sha256 == hashlib.sha256(WROTE).hexdigest()
    assert not task.logs.stdout.truncated
    assert world.output(task, Stream.STDOUT) == WROTE


def test_an_artifact_that_has_changed_is_taken_once_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Out of the container, which is there until all is stored."""
    world, task = meddled(tmp_path, monkeypatch, lambda _, folder: changed(folder / "artifacts" / "0"))
    assert task.status is State.SUCCEEDED
    assert [each.sha256 for each in task.artifacts_stored] == [hashlib.sha256(b"artifact").hexdigest()]
    assert b"".join(world.client.artifact("t", "a")) == b"artifact"


def test_without_the_container_it_does_not_pass_as_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is on the disk is kept, for there is nothing else, under its own sum; it is marked."""

    def meddle(world: World, folder: Path) -> None:
        changed(folder / "stdout")
        world.engine.remove("orchestrator-t-1", world.services.deployment)

    world, task = meddled(tmp_path, monkeypatch, meddle)
    assert task.logs
    now = b"?" + WROTE[1:]
    assert world.output(task, Stream.STDOUT) == now
    assert task.logs.stdout.sha256 == hashlib.sha256(now).hexdigest()
    assert task.logs.stdout.truncated


@pytest.mark.parametrize("tail", [False, True])
@pytest.mark.parametrize("begins", [False, True], ids=["away", "breaks off"])
def test_while_the_engine_is_away_what_is_on_the_disk_is_not_let_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, begins: bool, tail: bool
) -> None:
    """It is stored in the end, for there is nothing better. Reading the engine's log once more had emptied the file."""
    gone = InfrastructureError("docker", "away")
    process = Process()

    def broken(_: str) -> Iterator[Chunk]:
        if begins:
            yield Stream.STDOUT, WROTE[:4]
        raise gone

    def meddle(world: World, folder: Path) -> None:
        changed(folder / "stdout")
        monkeypatch.setattr(world.engine, "read_log", broken)
        if not begins:
            process.faults += [Fault("inspect", process.calls["inspect"] + nth, When.BEFORE, gone) for nth in range(1, 100)]

    world, task = meddled(tmp_path, monkeypatch, meddle, tail=tail, process=process)
    assert task.logs
    assert world.output(task, Stream.STDOUT) == b"?" + WROTE[1:]
    assert task.logs.stdout.truncated
    assert "could not be kept whole" in task.message
