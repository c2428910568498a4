"""What is counted is what is stored, whatever fails, and what a step measures moves when it should."""

import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.app import Services
from orchestrator.errors import InfrastructureError
from orchestrator.metrics import declarations as metrics
from orchestrator.metrics.metric import Counter as Metric
from orchestrator.settings.settings import Settings
from orchestrator.task.document import Task
from orchestrator.testing import FOREVER, MemoryServices, Program
from statemachine import TERMINAL, State, Trigger
from tests.support.faults import Fault, Killed, Process, When
from tests.support.tars import out
from tests.support.world import World

CALLS = (
    "claim",
    "pull",
    "create",
    "attach",
    "start",
    "identity",
    "wait",
    "archive",
    "put",
    "advance",
    "publish",
    "remove",
)
PROGRAMS = {
    ("well",): Program(stdout=b"out", stderr=b"err", out=out(kept=b"kept")),
    ("fails",): Program(exit_code=3, stdout=b"some words"),
    ("sleeps",): FOREVER,
}
HICCUP = InfrastructureError("docker", "hiccup")
Totals = dict[tuple[str, ...], float]


def faults(*errors: BaseException) -> st.SearchStrategy[list[Fault]]:
    """Any calls failing at any time, before or after their effect."""
    fault = st.builds(Fault, st.sampled_from(CALLS), st.integers(1, 5), st.sampled_from(When), st.sampled_from(errors))
    return st.lists(fault, max_size=4)


def counted(processes: Iterable[Services], metric: Metric) -> Totals:
    """What all processes have counted together, without what never moved."""
    total: Counter[tuple[str, ...]] = Counter()
    for process in processes:
        total.update(process.measured.counted(metric))  # type: ignore[arg-type]
    return {series: value for series, value in total.items() if value}


def moves(tasks: Iterable[Task]) -> Totals:
    """What the history of the tasks says."""
    return dict(Counter((row.trigger, row.source, row.status) for task in tasks for row in task.history))


def ends(tasks: Iterable[Task]) -> Totals:
    """How they ended, as stored."""
    return dict(Counter((task.status, task.cause or metrics.NO_CAUSE) for task in tasks if task.status in TERMINAL))


def stored_bytes(tasks: Iterable[Task]) -> Totals:
    """What the documents name in object storage, of all attempts."""
    attempts = [attempt for task in tasks for attempt in (task, *task.attempts)]
    logs = sum(each.logs.stdout.bytes + each.logs.stderr.bytes for each in attempts if each.logs)
    artifacts = sum(file.bytes for each in attempts for file in each.artifacts_stored)
    return {series: value for series, value in {("logs",): logs, ("artifacts",): artifacts}.items() if value}


def work(folder: str, scripts: list[list[Fault]]) -> tuple[World, list[Services]]:
    """Submit tasks of each kind, and deliver each to one process after the other, until one brings it to its end.

    The last one is no task that could start.
    """
    world = World(Path(folder), PROGRAMS)
    processes = [world.process(Process(script)) for script in [*scripts, []]]
    for number, command in enumerate([*PROGRAMS, *PROGRAMS]):
        limits = {"limits": {"timeout": 0.05}} if command == ("sleeps",) else {}
        request = {"image": "a", "command": [*command], "retries": number % 2, "artifacts": ["kept"]}
        world.client.submit(request | limits, f"t{number}")
        deliver(world, processes, f"t{number}")
    world.services.store.insert({"_id": "odd", "status": "queued", "image": 5})
    deliver(world, processes, "odd")
    return world, processes


def deliver(world: World, processes: list[Services], task_id: str) -> None:
    """To one process after the other, which may die of it."""
    for process in processes:
        try:
            process.runner.run(task_id)
        except (Killed, InfrastructureError):
            world.expire_leases()


@settings(max_examples=40, deadline=None)
@given(st.lists(faults(HICCUP), max_size=3))
def test_counters_equal_the_store_after_any_faults(scripts: list[list[Fault]]) -> None:
    """Moves, ends, retries and bytes, although calls fail before and after their effect."""
    with tempfile.TemporaryDirectory() as folder:
        world, processes = work(folder, scripts)
    tasks = [*world.client.list(limit=100)]
    assert counted(processes, metrics.TRANSITIONS) == moves(tasks)
    assert counted(processes, metrics.ENDED) == ends(tasks)
    assert sum(counted(processes, metrics.RETRIED).values()) == sum(len(task.attempts) for task in tasks)
    assert counted(processes, metrics.UPLOADED) == stored_bytes(tasks)


@settings(max_examples=40, deadline=None)
@given(st.lists(faults(HICCUP, Killed()), max_size=3))
def test_a_process_that_dies_takes_one_count_at_most_with_it(scripts: list[list[Fault]]) -> None:
    """The move that was stored as it died. Nothing is counted that is not stored."""
    with tempfile.TemporaryDirectory() as folder:
        world, processes = work(folder, scripts)
    told, stored = Counter(counted(processes, metrics.TRANSITIONS)), Counter(moves(world.client.list(limit=100)))
    assert told <= stored
    kills = sum(isinstance(fault.error, Killed) for script in scripts for fault in script)
    assert (stored - told).total() <= kills


def test_a_move_that_is_refused_is_not_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody cancels the task after its program was started, before that is stored."""
    world = World(tmp_path, PROGRAMS)
    world.client.submit({"image": "a", "command": ["sleeps"]}, "t")
    start = world.engine.start

    def cancelled(container: str) -> object:
        world.services.store.request_cancel("t")
        return start(container)

    monkeypatch.setattr(world.engine, "start", cancelled)
    process = world.process()
    process.runner.run("t")
    assert counted([process], metrics.TRANSITIONS) == {("fail", "queued", "failed"): 1}
    assert counted([process], metrics.ENDED) == {("failed", "cancelled"): 1}


def test_each_step_and_the_wait_in_the_queue_are_timed_once(tmp_path: Path) -> None:
    """A task that succeeds at its first attempt makes each step once."""
    world = World(tmp_path, PROGRAMS)
    world.client.submit({"image": "a", "command": ["well"]}, "t")
    process = world.process()
    process.runner.run("t")
    steps = {series: sum(spread.counts) for series, spread in process.measured.observed(metrics.STEP).items()}
    assert steps == {(step,): 1 for step in ("start", "wait", "collect", "upload")} | {("retry",): 0}
    for histogram in (metrics.WAIT, metrics.RUN):
        assert sum(process.measured.observed(histogram)[()].counts) == 1


def test_a_failed_try_is_counted_by_its_step_and_service(tmp_path: Path) -> None:
    """And timed like one that succeeds."""
    world = World(tmp_path, PROGRAMS)
    world.client.submit({"image": "a", "command": ["well"]}, "t")
    process = world.process(Process([Fault("put", 1, When.BEFORE, InfrastructureError("s3", "full"))]))
    process.runner.run("t")
    assert counted([process], metrics.STEP_ERRORS) == {("upload", "s3"): 1}
    assert sum(process.measured.observed(metrics.STEP)["upload",].counts) == 2


def test_a_fault_of_the_worker_is_told_apart(tmp_path: Path) -> None:
    """It is a bug, whatever became of the task."""
    world = World(tmp_path, PROGRAMS)
    world.client.submit({"image": "a"}, "t")
    process = world.process(Process([Fault("create", 1, When.BEFORE, RuntimeError("a bug"))]))
    process.runner.run("t")
    assert counted([process], metrics.STEP_ERRORS) == {("start", "fault"): 1}
    assert counted([process], metrics.ENDED) == {("failed", "infrastructure"): 1}


def test_a_worker_that_goes_on_with_another_ones_task_says_so(tmp_path: Path) -> None:
    """By the state in which it found the task."""
    world = World(tmp_path, PROGRAMS)
    world.client.submit({"image": "a", "command": ["well"]}, "t")
    dead, heir = world.process(Process([Fault("wait", 1, When.BEFORE, Killed())])), world.process()
    try:
        dead.runner.run("t")
    except Killed:
        world.expire_leases()
    heir.runner.run("t")
    assert counted([dead], metrics.ADOPTED) == {}
    assert counted([heir], metrics.ADOPTED) == {(State.RUNNING,): 1}


def test_a_delivery_of_a_task_that_has_ended_is_refused() -> None:
    """Nothing else moves."""
    services = MemoryServices()
    task = services.client.submit({"image": "a"})
    services.run_queued()
    before = counted([services], metrics.TRANSITIONS)
    services.runner.run(task.id)
    assert counted([services], metrics.REFUSED) == {(): 1}
    assert counted([services], metrics.TRANSITIONS) == before


def test_output_beyond_the_limit_is_counted() -> None:
    """As the document tells it."""
    services = MemoryServices({("talks",): Program(stdout=b"x" * 5000)}, Settings())
    task = services.client.submit(
        {"image": "a", "command": ["talks"], "limits": {"output": 1000}, "on_output_limit": "drop_middle"}
    )
    services.run_queued()
    logs = services.client.get(task.id).logs
    assert logs is not None
    assert logs.stdout.dropped > 0
    assert counted([services], metrics.OUTPUT_DROPPED) == {(): logs.stdout.dropped}


def test_every_trigger_with_work_has_its_series() -> None:
    """A trigger that is added is counted under its name."""
    assert {step for (step,) in metrics.STEP.series} == {*Trigger} - {Trigger.FAIL}
