"""One task from queued to its end, on services in memory."""

from pathlib import Path

import pytest

from orchestrator.cause import Cause
from orchestrator.errors import STORAGE, InfrastructureError, InvalidTask
from orchestrator.ports import ContainerState, Stream
from orchestrator.task.document import Task
from orchestrator.task.event import Event
from orchestrator.testing.programs import FOREVER, Program
from statemachine import State
from tests.support.faults import Fault, Killed, Process, When
from tests.support.world import World

PROGRAM = ("program",)
REQUEST = {"image": "busybox", "command": ["program"]}


def run(folder: Path, program: Program, process: Process | None = None, **request: object) -> tuple[World, Task]:
    """Run one program through a fresh installation."""
    world = World(folder, {PROGRAM: program})
    task = world.client.submit(REQUEST | request)
    ended = world.worker(process).run(task.id)
    assert ended is not None
    return world, ended


def test_a_program_that_exits_0_succeeds_with_its_output_stored(tmp_path: Path) -> None:
    """The happy path: every state once, both streams apart, nothing left."""
    world, task = run(tmp_path, Program(stdout=b"out\n", stderr=b"err\n"))
    assert (task.status, task.cause, task.exit_code) == (State.SUCCEEDED, None, 0)
    assert [entry.status for entry in task.history] == [State.RUNNING, State.COLLECTING, State.UPLOADING, State.SUCCEEDED]
    assert world.output(task, Stream.STDOUT) == b"out\n"
    assert world.output(task, Stream.STDERR) == b"err\n"
    assert not world.engine.containers
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize("adopted", [False, True])
def test_folders_that_were_full_at_the_end_are_evidence(tmp_path: Path, adopted: bool) -> None:  # noqa: FBT001
    """No matter which worker started the program; nobody has to guess from what it said."""
    world = World(tmp_path, {PROGRAM: Program(exit_code=1, full=("/data",))})
    task = world.client.submit(REQUEST)
    if adopted:
        with pytest.raises(Killed):
            world.worker(Process([Fault("wait", 1, When.BEFORE, Killed())])).run(task.id)
        world.expire_leases()
        world.sweep().once(30)
    ended = world.client.get(task.id) if adopted else world.worker().run(task.id)
    assert ended
    assert (ended.cause, ended.evidence["disk_full"]) == (Cause.EXIT, ["/data"])


@pytest.mark.parametrize("call", ["pull", "create", "start", "wait", "put", "publish"])
def test_a_fault_of_ours_ends_the_task_and_says_so(tmp_path: Path, call: str) -> None:
    """It is no program's fault, and nobody would come to mend it."""
    world, task = run(tmp_path, Program(b"out"), Process([Fault(call, 1, When.BEFORE, TypeError("a bug"))]))
    assert (task.status, task.cause) == (State.FAILED, Cause.INFRASTRUCTURE)
    assert task.message == "the worker has a fault: TypeError: a bug"
    assert not world.engine.containers


@pytest.mark.parametrize(
    ("program", "status", "cause", "code"),
    [
        (Program(exit_code=3), State.FAILED, Cause.EXIT, 3),
        (Program(exit_code=139), State.FAILED, Cause.SIGNAL, 139),
        (Program(exit_code=137, oom_killed=True), State.FAILED, Cause.OOM, 137),
        (Program(exit_code=0, oom_killed=True), State.SUCCEEDED, None, 0),
        (FOREVER, State.TIMED_OUT, Cause.TIMEOUT, 143),
        (Program(seconds=61, heeds_term=False), State.TIMED_OUT, Cause.TIMEOUT, 137),
        (Program(seconds=59), State.SUCCEEDED, None, 0),
    ],
)
def test_each_way_to_end_has_its_status_and_cause(
    tmp_path: Path, program: Program, status: State, cause: Cause | None, code: int
) -> None:
    """The verdict follows from the engine's facts and from who ended the program; its output is kept on every ending."""
    _, task = run(tmp_path, program)
    assert (task.status, task.cause, task.exit_code) == (status, cause, code)
    assert task.logs is not None
    assert task.metrics is not None


def test_a_stream_past_its_limit_ends_the_program_and_keeps_what_fits(tmp_path: Path) -> None:
    """The first bytes up to the limit are kept and marked as truncated."""
    world, task = run(tmp_path, Program(stdout=b"x" * 11, floods=True), limits={"output": 10})
    assert (task.status, task.cause) == (State.FAILED, Cause.OUTPUT_LIMIT)
    assert task.logs
    assert task.logs.stdout.truncated
    assert world.output(task, Stream.STDOUT) == b"x" * 10


def test_a_program_that_passes_its_limit_and_exits_has_still_passed_it(tmp_path: Path) -> None:
    """Whether the worker was quick enough to end it makes no difference to the verdict."""
    _, task = run(tmp_path, Program(stdout=b"x" * 11), limits={"output": 10})
    assert task.cause is Cause.OUTPUT_LIMIT


def test_an_invalid_document_ends_failed_and_starts_nothing(tmp_path: Path) -> None:
    """A document inserted by another service is checked by the worker, and every bad field is named."""
    world = World(tmp_path)
    document = {"_id": "a", "status": "queued", "image": "NO", "limits": {"memory": "lots"}}
    world.services.store.insert(document)
    task = world.worker().run("a")
    assert task
    assert (task.status, task.cause) == (State.FAILED, Cause.INVALID)
    assert "image" in task.message
    assert "limits.memory" in task.message
    assert not world.engine.starts


def test_a_request_that_breaks_the_contract_is_refused_before_it_is_stored(tmp_path: Path) -> None:
    """The client says what is wrong at once."""
    world = World(tmp_path)
    with pytest.raises(InvalidTask, match=r"limits\.pids: 0 is not a whole number of 1 or more"):
        world.client.submit({"image": "a", "limits": {"pids": 0}})


def test_an_image_that_cannot_be_had_fails_with_its_cause(tmp_path: Path) -> None:
    """It is the owner's to mend, so it is not retried."""
    world = World(tmp_path, images=frozenset({"busybox"}))
    process = Process()
    task = world.client.submit({"image": "nowhere/nothing:1"})
    ended = world.worker(process).run(task.id)
    assert ended
    assert (ended.status, ended.cause) == (State.FAILED, Cause.IMAGE)
    assert process.calls["pull"] == 1


def test_a_container_removed_by_somebody_else_is_lost_and_its_output_kept(tmp_path: Path) -> None:
    """The outcome says so; what was read before is stored."""
    world = World(tmp_path, {PROGRAM: Program(stdout=b"so far", seconds=5)})
    task = world.client.submit(REQUEST)

    def wait(container: str, *_: object) -> ContainerState:
        world.engine.remove(container.partition("#")[0], world.services.deployment)
        return world.engine.inspect(container)

    world.engine.wait = wait
    ended = world.worker().run(task.id)
    assert ended
    assert (ended.status, ended.cause) == (State.FAILED, Cause.CONTAINER_LOST)
    assert world.output(ended, Stream.STDOUT) == b"so far"


@pytest.mark.parametrize("method", ["pull", "create", "attach", "start", "wait", "put", "advance"])
def test_a_passing_fault_is_retried_and_leaves_no_trace(tmp_path: Path, method: str) -> None:
    """Before or after the effect: the command runs once and the task succeeds."""
    for when in When:
        process = Process([Fault(method, 1, when, InfrastructureError("service", "hiccup"))])
        world, task = run(tmp_path, Program(stdout=b"out"), process)
        assert task.status is State.SUCCEEDED
        assert list(world.engine.starts.values()) == [1]
        assert [entry.seq for entry in task.history] == [1, 2, 3, 4]
        assert world.output(task, Stream.STDOUT) == b"out"


@pytest.mark.parametrize(
    ("method", "service", "cause"),
    [
        ("pull", "docker", Cause.INFRASTRUCTURE),
        ("put", STORAGE, Cause.UPLOAD),
        ("put", "spool", Cause.UPLOAD),
    ],
)
def test_a_service_that_stays_away_fails_the_task_past_the_budget(
    tmp_path: Path, method: str, service: str, cause: Cause
) -> None:
    """With the cause that says whose fault it was."""
    world = World(tmp_path, {PROGRAM: Program(b"out")})
    faults = [Fault(method, nth, When.BEFORE, InfrastructureError(service, "away")) for nth in range(1, 3000)]
    task = world.client.submit(REQUEST)
    ended = world.worker(Process(faults)).run(task.id)
    assert ended
    assert (ended.status, ended.cause) == (State.FAILED, cause)
    assert not world.engine.containers


def test_samples_are_summed_up_and_absent_ones_not_invented(tmp_path: Path) -> None:
    """Without a sample there is no usage."""
    _, task = run(tmp_path, Program())
    assert task.metrics
    assert (task.metrics.samples, task.metrics.cpu_percent, task.metrics.memory_bytes) == (0, None, None)


def test_a_second_delivery_returns_quietly(tmp_path: Path) -> None:
    """A finished task is nobody's to run."""
    world, task = run(tmp_path, Program())
    assert world.worker().run(task.id) is None
    assert world.client.get(task.id).history == task.history


def test_what_an_earlier_holder_stored_and_did_not_publish_goes_out_on_adoption(tmp_path: Path) -> None:
    """Before anything else is done about the task, which may run for hours yet."""
    world = World(tmp_path, {PROGRAM: FOREVER})
    world.client.submit(REQUEST, "t")
    with pytest.raises(Killed):
        world.worker(Process([Fault("publish", 1, When.BEFORE, Killed())])).run("t")
    assert [event.status for event in world.published] == [State.QUEUED]
    world.expire_leases()
    heir = Process([Fault("wait", 1, When.BEFORE, Killed())])
    with pytest.raises(Killed):
        world.worker(heir).run("t")
    assert [(event.seq, event.status) for event in world.published] == [(0, State.QUEUED), (1, State.RUNNING)]
    assert "advance" not in heir.log


@pytest.mark.parametrize("created_at", [..., None, "some day"])
def test_when_a_task_was_made_is_written_by_its_worker_when_its_owner_left_it_out(tmp_path: Path, created_at: object) -> None:
    """Lists are sorted by it, so it is the time of the first transition."""
    world = World(tmp_path)
    given = {} if created_at is ... else {"created_at": created_at}
    world.services.store.insert({"_id": "t", "status": "queued", "image": "busybox", **given})
    ended = world.worker().run("t")
    assert ended
    assert ended.created_at == ended.history[0].at
    assert Event.all_of(ended)[0].at == ended.created_at


def test_when_a_task_was_made_stays_as_its_owner_wrote_it(tmp_path: Path) -> None:
    """It is the owner's to say."""
    world = World(tmp_path)
    task = world.client.submit({"image": "busybox"})
    ended = world.worker().run(task.id)
    assert ended
    assert ended.created_at == task.created_at
