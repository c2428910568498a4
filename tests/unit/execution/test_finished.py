"""A program that has finished is never run again: what can be had of its output has to do."""

import errno
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import pytest

from orchestrator.cause import Cause
from orchestrator.errors import STORAGE, InfrastructureError
from orchestrator.output import artifacts as gather
from orchestrator.output import ring_file as tail
from orchestrator.output import spool
from orchestrator.output.spool import Spool
from orchestrator.ports import Stream
from orchestrator.settings.settings import Settings
from orchestrator.task.document import Task
from orchestrator.testing.programs import Program
from statemachine import State
from tests.support.faults import Fault, Killed, Process, When
from tests.support.tars import out
from tests.support.world import World

PROGRAM = ("program",)
REQUEST = {"image": "busybox", "command": ["program"], "artifacts": ["."]}
HASTY = Settings(retry_budget=0.0, upload_budget=0.0, orphan_grace=-1.0, spool_grace=-1.0)
FULL = OSError(errno.ENOSPC, "No space left on device")
EVER = range(1, 100)
AWAY = [
    Fault(method, nth, When.BEFORE, InfrastructureError("docker", "away")) for method in ("read_log", "archive") for nth in EVER
]


@pytest.fixture
def fits(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Sets how large a file of the spool may become."""

    def limit(size: int) -> None:
        def write_all(file: IO[bytes], data: memoryview) -> None:
            room = size - file.seek(0, 1)
            file.write(data[: max(room, 0)])
            if len(data) > room:
                raise FULL

        monkeypatch.setattr(spool, "write_all", write_all)
        monkeypatch.setattr(tail, "write_all", write_all)

    return limit


def ended(world: World, process: Process | None = None, **request: object) -> Task:
    """Run one task to its end."""
    task = world.worker(process).run(world.client.submit(REQUEST | request, "t").id)
    assert task
    assert [*world.engine.starts.values()] == [1]
    assert (task.attempts, task.attempt) == ((), 1)
    assert not world.engine.containers
    stays = task.cause is Cause.UPLOAD and task.logs is None
    assert stays or not [path for path in world.settings.spool_dir.rglob("*") if path.is_file()]
    return task


@pytest.mark.parametrize(
    ("program", "status", "cause"),
    [
        (Program(stdout=b"0123456789"), State.FAILED, Cause.UPLOAD),
        (Program(stdout=b"0123456789", exit_code=3), State.FAILED, Cause.EXIT),
        (Program(stdout=b"0123456789", seconds=61), State.TIMED_OUT, Cause.TIMEOUT),
    ],
)
def test_of_a_log_that_does_not_fit_what_does_is_stored(
    tmp_path: Path, fits: Callable[[int], None], program: Program, status: State, cause: Cause
) -> None:
    """Truncated, with what became of the program first: only one that exited 0 fails for its log."""
    fits(4)
    world = World(tmp_path, {PROGRAM: program}, settings=HASTY)
    task = ended(world)
    assert (task.status, task.cause) == (status, cause)
    assert task.exit_code == (143 if cause is Cause.TIMEOUT else program.exit_code)
    assert "but its log could not be kept whole: spool: " in task.message
    assert "No space left" in str(task.evidence["log_cut"])
    assert task.logs
    assert task.logs.stdout.truncated
    assert world.output(task, Stream.STDOUT) == b""  # a chunk is kept whole or not at all


def test_an_end_of_a_stream_that_does_not_fit_is_dropped(tmp_path: Path, fits: Callable[[int], None]) -> None:
    """Where both ends are to be kept, its beginning is."""
    fits(6)
    world = World(tmp_path, {PROGRAM: Program(stdout=b"0123456789")}, settings=HASTY)
    task = ended(world, limits={"output": 8}, on_output_limit="drop_middle")
    assert task.cause is Cause.UPLOAD
    assert task.logs
    assert (world.output(task, Stream.STDOUT), task.logs.stdout.dropped) == (b"0123", 6)


def test_artifacts_that_do_not_fit_are_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each, and why; the task succeeds as its program did, with a whole log."""
    keep = gather._Basket._keep

    def too_small(basket: gather._Basket, path: str, name: str, content: Iterator[bytes]) -> None:
        if path == "big":
            (basket._folder / name).write_bytes(b"part")
            raise FULL
        keep(basket, path, name, content)

    monkeypatch.setattr(gather._Basket, "_keep", too_small)
    world = World(tmp_path, {PROGRAM: Program(stdout=b"log", out=out(a=b"1", big=b"22", z=b"3"))}, settings=HASTY)
    task = ended(world)
    assert task.status is State.SUCCEEDED
    assert world.output(task, Stream.STDOUT) == b"log"
    assert task.logs
    assert not task.logs.stdout.truncated
    assert {each.path: b"".join(world.client.artifact("t", each.path)) for each in task.artifacts_stored} == {
        "a": b"1",
        "z": b"3",
    }
    assert [(each.path, each.why) for each in task.artifacts_refused] == [
        ("big", "there is no room for it in the spool: No space left on device")
    ]


@pytest.mark.parametrize("state", ["seal", "put"])
def test_an_engine_that_stays_away_after_the_outcome_is_stored_costs_no_run(tmp_path: Path, state: str) -> None:
    """Of what the worker that died had read, a part is there; of /out nothing."""
    world = World(tmp_path, {PROGRAM: Program(stdout=b"log", out=out(a=b"1"))}, settings=HASTY)
    world.client.submit(REQUEST, "t")
    with pytest.raises(Killed):
        world.worker(Process([Fault("archive" if state == "seal" else "put", 1, When.BEFORE, Killed())])).run("t")
    _unseal(world)
    world.expire_leases()
    task = world.worker(Process([*AWAY])).run("t")
    assert task
    assert (task.status, task.cause, task.exit_code, task.attempt) == (State.FAILED, Cause.UPLOAD, 0, 1)
    assert task.message == "the program exited with status 0, but its log could not be kept whole: docker: away"
    assert world.output(task, Stream.STDOUT) == b"log"
    assert [(each.path, each.why) for each in task.artifacts_refused] == [(".", "it could not be read: docker: away")]
    assert [*world.engine.starts.values()] == [1]


@pytest.mark.parametrize("upload", ["put", "publish"])
def test_a_log_that_was_sealed_is_not_read_again(tmp_path: Path, upload: str) -> None:
    """The worker that adopts the task takes what the holder before has sealed: the engine need not hand it over once more."""
    world = World(tmp_path, {PROGRAM: Program(stdout=b"log", stderr=b"err", out=out(a=b"1"))})
    world.client.submit(REQUEST, "t")
    nth = 1 if upload == "put" else 3
    with pytest.raises(Killed):
        world.worker(Process([Fault(upload, nth, When.BEFORE, Killed())])).run("t")
    world.expire_leases()
    heir = Process([*AWAY[: len(EVER)]])
    task = world.worker(heir).run("t")
    assert task
    assert (task.status, heir.calls["read_log"]) == (State.SUCCEEDED, 0)
    assert task.logs
    assert not task.logs.stdout.truncated
    assert [world.output(task, stream) for stream in Stream] == [b"log", b"err"]


def test_a_seal_that_no_longer_holds_is_not_taken_over(tmp_path: Path) -> None:
    """The engine's own log is read instead."""
    world = World(tmp_path, {PROGRAM: Program(stdout=b"log")})
    world.client.submit(REQUEST, "t")
    with pytest.raises(Killed):
        world.worker(Process([Fault("put", 1, When.BEFORE, Killed())])).run("t")
    (file,) = world.settings.spool_dir.rglob("stdout")
    file.write_bytes(b"lag")
    world.expire_leases()
    task = world.worker().run("t")
    assert task
    assert task.logs
    assert (world.output(task, Stream.STDOUT), task.logs.stdout.truncated) == (b"log", False)


@pytest.mark.parametrize("sealed", [True, False], ids=["sealed", "not sealed"])
def test_what_a_dead_worker_dropped_is_told_as_it_counted_it(tmp_path: Path, *, sealed: bool) -> None:
    """Of an output without its middle, whose container is gone. If it had not noted how much, nobody knows: a line says so."""
    world = World(tmp_path, {PROGRAM: Program(stdout=b"0123456789" * 10)})
    world.client.submit(REQUEST | {"limits": {"output": 8}, "on_output_limit": "drop_middle"}, "t")
    with pytest.raises(Killed):
        world.worker(Process([Fault("archive", 1, When.BEFORE, Killed())])).run("t")
    (note,) = world.settings.spool_dir.rglob("sealed.json")
    note.write_text(note.read_text().replace("true", "false"))
    if not sealed:
        note.unlink()
    world.engine.remove("orchestrator-t-1", world.services.deployment)
    world.expire_leases()
    task = world.worker().run("t")
    assert task
    assert task.logs
    log = task.logs.stdout
    line = b"[92 bytes dropped here]\n6789" if sealed else b"[bytes dropped here, not counted]\n"
    assert world.output(task, Stream.STDOUT) == b"0123\n" + line
    assert (log.dropped, log.truncated) == (92 if sealed else 0, True)


def _unseal(world: World) -> None:
    """As if the worker had died before it sealed its spool."""
    (note,) = world.settings.spool_dir.rglob("sealed.json")
    note.unlink()


def test_a_finished_task_of_an_engine_that_is_lost_is_not_run_on_another(tmp_path: Path) -> None:
    """Its log is there, too, so there is none."""
    world = World(tmp_path, {PROGRAM: Program(stdout=b"log")}, hosts=("a", "b"))
    world.client.submit(REQUEST, "t")
    with pytest.raises(Killed):
        world.worker(Process([Fault("archive", 1, When.BEFORE, Killed())]), host="a").run("t")
    world.clock.advance(world.settings.engine_patience + world.settings.lease_ttl + 1)
    world.sweep(host="b").once(30)
    task = world.client.get("t")
    assert (task.status, task.cause, task.exit_code, task.attempt) == (State.FAILED, Cause.UPLOAD, 0, 1)
    assert "its engine a has not come back" in task.message
    assert world.engines["b"].starts == {}


def test_a_spool_in_which_nothing_can_be_made_loses_the_log_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when the program fails; what became of it is evidence."""

    def broken(_: Spool) -> None:
        raise FULL

    world = World(tmp_path, {PROGRAM: Program(stdout=b"log", exit_code=3)}, settings=HASTY)
    world.client.submit(REQUEST, "t")
    with pytest.raises(Killed):
        world.worker(Process([Fault("wait", 1, When.BEFORE, Killed())])).run("t")
    world.expire_leases()
    monkeypatch.setattr(Spool, "open", broken)
    task = world.worker().run("t")
    assert task
    assert (task.status, task.cause, task.exit_code, task.logs) == (State.FAILED, Cause.UPLOAD, 3, None)
    assert task.message.startswith("the program exited with status 3, but its log could not be stored: spool: ")
    assert task.evidence["cause"] == "exit"
    assert [*world.engine.starts.values()] == [1]


def test_object_storage_that_stays_away_costs_no_run(tmp_path: Path) -> None:
    """Nor does it take the exit code."""
    process = Process([Fault("put", nth, When.BEFORE, InfrastructureError(STORAGE, "away")) for nth in EVER])
    task = ended(World(tmp_path, {PROGRAM: Program(b"out", exit_code=3)}, settings=HASTY), process)
    assert (task.cause, task.exit_code, task.evidence["cause"]) == (Cause.UPLOAD, 3, "exit")
