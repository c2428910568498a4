"""Artifacts of whole tasks, on services in memory: kept on every ending, found again by the next holder."""

import hashlib
import tarfile
from pathlib import Path

import pytest

from orchestrator.cause import Cause
from orchestrator.errors import InfrastructureError, InvalidTask, UnknownTask
from orchestrator.ports import Move, Stream
from orchestrator.ports.documents import too_large
from orchestrator.task.document import Task
from orchestrator.task.values import Document
from orchestrator.testing.programs import FOREVER, Program
from orchestrator.testing.task_store import MemoryTaskStore
from statemachine import State
from tests.support.faults import Fault, Killed, Process, When
from tests.support.tars import entry, out, packed
from tests.support.world import World

PROGRAM = ("program",)
REQUEST = {"image": "busybox", "command": ["program"], "artifacts": ["."]}
LEFT = out(a=b"first", b=b"")


def run(folder: Path, program: Program, process: Process | None = None, **request: object) -> tuple[World, Task]:
    """Run one program through a fresh installation."""
    world = World(folder, {PROGRAM: program})
    world.client.submit(REQUEST | request, "t")
    ended = world.worker(process).run("t")
    assert ended is not None
    return world, ended


def kept(world: World) -> dict[str, bytes]:
    """What can be read back, by path."""
    return {each.path: b"".join(world.client.artifact("t", each.path)) for each in world.client.artifacts("t")}


@pytest.mark.parametrize(
    ("program", "status"),
    [
        (Program(out=LEFT), State.SUCCEEDED),
        (Program(out=LEFT, exit_code=3), State.FAILED),
        (Program(out=LEFT, seconds=FOREVER.seconds), State.TIMED_OUT),
    ],
)
def test_artifacts_are_kept_on_every_ending(tmp_path: Path, program: Program, status: State) -> None:
    """Their paths, sizes and sums are in the document; nothing stays in the spool."""
    world, task = run(tmp_path, program)
    assert task.status is status
    assert kept(world) == {"a": b"first", "b": b""}
    for each in task.artifacts_stored:
        assert world.services.logs.stat(each.key) == (each.bytes, each.sha256)
        assert each.key.startswith("t/1/")
    assert task.artifacts_stored[0].sha256 == hashlib.sha256(b"first").hexdigest()
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_what_is_refused_is_in_the_document(tmp_path: Path) -> None:
    """And the task succeeds all the same: its program did."""
    archive = packed([entry("out/l", kind=tarfile.SYMTYPE, link="/etc/passwd"), entry("out/a", b"a")])
    world, task = run(tmp_path, Program(out=archive), artifacts=["l", "a", "none"])
    assert task.status is State.SUCCEEDED
    assert kept(world) == {"a": b"a"}
    refused = {each.path: each.why for each in task.artifacts_refused}
    assert refused == {"l": "it is a symbolic link", "none": "there is nothing of this name"}


def test_nothing_is_asked_of_the_engine_for_a_task_without_artifacts(tmp_path: Path) -> None:
    """No folder, no holder, no archive."""
    process = Process()
    _, task = run(tmp_path, Program(out=LEFT), process, artifacts=[])
    assert (task.artifacts_stored, task.artifacts_refused) == ((), ())
    assert "archive" not in process.calls


def test_an_attempt_that_is_tried_again_keeps_its_artifacts(tmp_path: Path) -> None:
    """Under keys of its own."""
    _, task = run(tmp_path, Program(out=LEFT, exit_code=1), retries=1)
    keys = [each.key for attempt in task.attempts for each in attempt.artifacts_stored]
    assert len(keys) == 2
    assert not {*keys} & {each.key for each in task.artifacts_stored}


@pytest.mark.parametrize("call", ["archive", "put", "advance"])
@pytest.mark.parametrize("when", When)
@pytest.mark.parametrize("nth", [1, 2, 3, 4])
def test_a_death_or_a_hiccup_at_any_call_loses_none(tmp_path: Path, call: str, when: When, nth: int) -> None:
    """The next holder takes them again from the pause container."""
    for error in (Killed(), InfrastructureError("service", "hiccup")):
        world = World(tmp_path / type(error).__name__, {PROGRAM: Program(out=LEFT)})
        world.client.submit(REQUEST, "t")
        try:
            world.worker(Process([Fault(call, nth, when, error)])).run("t")
        except Killed:
            world.expire_leases()
            world.worker().run("t")
        assert world.client.get("t").status is State.SUCCEEDED
        assert kept(world) == {"a": b"first", "b": b""}


def test_artifacts_whose_holder_is_gone_are_told_as_lost(tmp_path: Path) -> None:
    """The program's ending stands; a worker died before it had them, and then the engine was restarted."""
    world = World(tmp_path, {PROGRAM: Program(out=LEFT)})
    world.client.submit(REQUEST | {"artifacts": ["a", "b"]}, "t")
    with pytest.raises(Killed):
        world.worker(Process([Fault("archive", 1, When.BEFORE, Killed())])).run("t")
    for name in world.engine.containers:
        world.engine.remove(name, world.services.deployment)
    world.expire_leases()
    task = world.worker().run("t")
    assert task
    assert task.artifacts_stored == ()
    assert [each.path for each in task.artifacts_refused] == ["a", "b"]
    assert all("lost" in each.why for each in task.artifacts_refused)


def test_what_is_not_kept_cannot_be_read(tmp_path: Path) -> None:
    """The error names task and path."""
    world, _ = run(tmp_path, Program(out=LEFT))
    with pytest.raises(UnknownTask, match=r"no stored artifact '\.\./a'"):
        world.client.artifact("t", "../a")


@pytest.mark.parametrize(
    ("artifacts", "words"),
    [
        ("a", "a list of relative paths"),
        (["/etc"], "a list of relative paths"),
        (["a/../b"], "a list of relative paths"),
        ([""], "a list of relative paths"),
        ([5], "a list of relative paths"),
        (["a", "a"], "'a' is given twice"),
        ([str(number) for number in range(257)], "257 paths are above the ceiling of 256"),
    ],
)
def test_a_bad_list_is_refused(tmp_path: Path, artifacts: object, words: str) -> None:
    """With the field's name."""
    with pytest.raises(InvalidTask, match=f"artifacts: .*{words}"):
        World(tmp_path).client.submit(REQUEST | {"artifacts": artifacts})


def test_the_folder_has_a_ceiling(tmp_path: Path) -> None:
    """Like every limit."""
    with pytest.raises(InvalidTask, match=r"limits.artifacts: 2 GiB is above the ceiling of 1 GiB"):
        World(tmp_path).client.submit(REQUEST | {"limits": {"artifacts": "2g"}})


class _Small(MemoryTaskStore):
    """A store that finds the document too large at the first ``most`` moves out of uploading."""

    most = 1
    refused = 0

    def advance(self, move: Move) -> Document:
        if move.entry.source is State.UPLOADING and move.entry.status is State.SUCCEEDED and self.refused < self.most:
            self.refused += 1
            raise too_large(17 << 20)
        return super().advance(move)


class _Smaller(_Small):
    """The same at each move to success."""

    most = 99


def test_a_result_that_does_not_fit_is_stored_without_artifacts(tmp_path: Path) -> None:
    """The program ended well, and its log is kept. What was put is found when the task is deleted."""
    world = World(tmp_path, {PROGRAM: Program(stdout=b"log", out=LEFT)}, store=_Small)
    world.client.submit(REQUEST, "t")
    task = world.worker().run("t")
    assert task
    assert (task.status, task.exit_code, task.cause, task.artifacts_stored) == (State.SUCCEEDED, 0, None, ())
    assert [(each.path, "no room" in each.why) for each in task.artifacts_refused] == [(".", True)]
    assert world.output(task, Stream.STDOUT) == b"log"
    world.client.delete("t")
    assert [*world.services.logs.listed()] == []


def test_a_result_that_never_fits_is_no_fault_of_the_task(tmp_path: Path) -> None:
    """Its end says what became of the program, and why there is no log."""
    world = World(tmp_path, {PROGRAM: Program(stdout=b"log", out=LEFT)}, store=_Smaller)
    world.client.submit(REQUEST, "t")
    task = world.worker().run("t")
    assert task
    assert (task.status, task.exit_code, task.cause, task.logs) == (State.FAILED, 0, Cause.UPLOAD, None)
    assert "bytes" in task.message


def test_files_are_kept_as_long_as_the_document_has_room_for_their_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an earlier attempt has kept takes room, too."""
    monkeypatch.setattr("orchestrator.execution.attempt_output.LARGEST", (1 << 19) + 2500)
    many = out(**{f"f{number:02}": b"x" for number in range(20)})
    _, task = run(tmp_path, Program(out=many, exit_code=3), retries=1)
    first, last = (len(each.artifacts_stored) for each in (task.attempts[0], task))
    assert 0 <= last < first < 20
    assert all("no room" in each.why for each in task.artifacts_refused)
    assert task.artifacts_refused
