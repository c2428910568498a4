"""New attempts: for what the infrastructure broke, for what failed by itself, and never two of them at once."""

import contextlib
from collections.abc import Iterator
from math import inf
from pathlib import Path

import pytest

from orchestrator.cause import Cause
from orchestrator.errors import EngineUnfit, InfrastructureError, Superseded
from orchestrator.execution.attempt import Attempt
from orchestrator.execution.claim import Claim
from orchestrator.execution.leases import HeldLease
from orchestrator.settings.settings import Settings
from orchestrator.task.document import Task
from orchestrator.testing.engine import MemoryEngine
from orchestrator.testing.programs import FOREVER, Program
from statemachine import State
from tests.support.baton import How, Puppet
from tests.support.faults import Fault, Killed, Process, When
from tests.support.world import World

PROGRAM = ("program",)
REQUEST = {"image": "busybox", "command": ["program"]}
HASTY = Settings(retry_budget=0.0, upload_budget=0.0, orphan_grace=-1.0, spool_grace=-1.0)
"""No call is made again: every hiccup costs an attempt."""


def away(method: str, *times: int) -> Process:
    """A process that finds a service away at these calls of one method."""
    return Process([Fault(method, nth, When.BEFORE, InfrastructureError("service", "away")) for nth in times])


def ended(world: World, process: Process | None = None, **request: object) -> Task:
    """Run one task to its end."""
    task = world.worker(process).run(world.client.submit(REQUEST | request).id)
    assert task is not None
    return task


def test_a_broken_attempt_is_followed_by_another_and_kept_in_the_history(tmp_path: Path) -> None:
    """Past the budget of calls made again the attempt is given up, not the task."""
    task = ended(World(tmp_path, {PROGRAM: Program(stdout=b"out")}, settings=HASTY), away("wait", 1))
    assert (task.status, task.attempt) == (State.SUCCEEDED, 2)
    (broken,) = task.attempts
    assert (broken.attempt, broken.cause, broken.message) == (1, Cause.INFRASTRUCTURE, "service: away")
    assert [entry.status for entry in task.history[:3]] == [State.RUNNING, State.QUEUED, State.RUNNING]


@pytest.mark.parametrize("method", ["create", "start"])
def test_what_no_new_try_mends_ends_the_task_at_its_first_attempt(tmp_path: Path, method: str) -> None:
    """Neither a call made again nor a new attempt, and retries of the task are for its program."""
    world = World(tmp_path, {PROGRAM: Program()})
    task = ended(world, Process([Fault(method, 1, When.BEFORE, EngineUnfit("no such runtime: change RUNTIME"))]), retries=3)
    assert (task.status, task.cause, task.message) == (State.FAILED, Cause.INFRASTRUCTURE, "no such runtime: change RUNTIME")
    assert (task.attempts, world.engine.containers) == ((), frozenset())


def test_attempts_that_the_infrastructure_broke_are_limited(tmp_path: Path) -> None:
    """A service that stays away ends the task with the cause that says so."""
    world = World(tmp_path, {PROGRAM: Program()}, settings=HASTY)
    task = ended(world, away("wait", 1, 2, 3))
    assert (task.status, task.cause, task.attempt) == (State.FAILED, Cause.INFRASTRUCTURE, HASTY.max_attempts)
    assert len(task.attempts) == HASTY.max_attempts - 1
    assert set(world.engine.starts.values()) == {1}
    assert not world.engine.containers


@pytest.mark.parametrize(
    ("program", "cause", "status"),
    [
        (Program(exit_code=3), Cause.EXIT, State.FAILED),
        (Program(exit_code=139), Cause.SIGNAL, State.FAILED),
        (Program(exit_code=137, oom_killed=True), Cause.OOM, State.FAILED),
        (FOREVER, Cause.TIMEOUT, State.TIMED_OUT),
    ],
)
def test_a_task_that_fails_by_itself_is_tried_as_often_as_it_asks(
    tmp_path: Path, program: Program, cause: Cause, status: State
) -> None:
    """Every attempt has its container, its log and its place in the history."""
    world = World(tmp_path, {PROGRAM: program})
    task = ended(world, retries=2)
    assert (task.status, task.cause, task.attempt) == (status, cause, 3)
    assert [(attempt.attempt, attempt.cause, attempt.logs is not None) for attempt in task.attempts] == [
        (1, cause, True),
        (2, cause, True),
    ]
    assert len(world.engine.starts) == 3
    assert not world.engine.containers
    assert [entry.attempt for entry in task.history] == [1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3]


def test_who_waited_to_end_an_attempt_leaves_the_next_one_alone(tmp_path: Path) -> None:
    """A thread that was to end the program for its output finds the one that ends it for its time, and then another attempt."""
    world, process = World(tmp_path, {PROGRAM: FOREVER}), Process()
    worker, attempt = world.worker(process), Attempt(container="first")
    lease = HeldLease("token", {}, inf)
    claim = Claim(world.client.submit(REQUEST), lease, worker.leases, State.RUNNING, attempt)

    @contextlib.contextmanager
    def wait_long() -> Iterator[None]:
        claim.next_attempt()
        claim.attempt.container = "second"
        yield

    attempt.ending = wait_long()
    worker.programs.end_quietly(claim, attempt, Cause.OUTPUT_LIMIT)
    assert claim.ended_for is None
    assert not process.calls["stop"]


def test_a_task_is_not_tried_again_unless_it_asks(tmp_path: Path) -> None:
    """Its failure may have had effects elsewhere."""
    task = ended(World(tmp_path, {PROGRAM: Program(exit_code=3)}))
    assert (task.attempt, task.attempts) == (1, ())


def test_a_try_that_succeeds_is_the_last(tmp_path: Path) -> None:
    """What the earlier one said is no longer said of the task."""
    programs = {PROGRAM: Program(exit_code=3)}
    world = World(tmp_path, programs)
    create = world.engine.create

    def change(plan):  # noqa: ANN001, ANN202
        world.engine._programs[PROGRAM] = Program(exit_code=3 if plan.name.endswith("-1") else 0)
        return create(plan)

    world.engine.create = change
    task = ended(world, retries=5)
    assert (task.status, task.cause, task.exit_code, task.attempt) == (State.SUCCEEDED, None, 0, 2)
    assert [attempt.cause for attempt in task.attempts] == [Cause.EXIT]


def test_attempts_that_the_infrastructure_broke_do_not_use_up_a_tasks_own(tmp_path: Path) -> None:
    """They are counted apart."""
    world = World(tmp_path, {PROGRAM: Program(exit_code=3)}, settings=HASTY)
    task = ended(world, away("wait", 1, 3), retries=1)
    assert [attempt.cause for attempt in task.attempts] == [Cause.INFRASTRUCTURE, Cause.EXIT, Cause.INFRASTRUCTURE]
    assert (task.cause, task.attempt) == (Cause.EXIT, 4)


@pytest.mark.parametrize(
    ("request_", "cause"), [({"image": "nothing:1"}, Cause.IMAGE), ({"image": "NO"}, Cause.INVALID)], ids=["image", "invalid"]
)
def test_what_the_owner_must_mend_is_never_tried_again(tmp_path: Path, request_: dict[str, object], cause: Cause) -> None:
    """However many tries the task asks for."""
    world = World(tmp_path, images=frozenset({"busybox"}))
    world.services.store.insert({"_id": "t", "status": "queued", "retries": 5, **request_})
    task = world.worker().run("t")
    assert task is not None
    assert (task.cause, task.attempts) == (cause, ())


def test_the_container_of_a_broken_attempt_is_gone_before_the_next_one_starts(tmp_path: Path) -> None:
    """Also when it could not be removed at once."""
    world = World(tmp_path, {PROGRAM: Program(stdout=b"out")}, settings=HASTY)
    process = Process([*away("wait", 1).faults, *away("remove", 1).faults])
    seen: list[frozenset[str]] = []
    start = world.engine.start

    def note(container: str) -> None:
        start(container)
        seen.append(world.engine.containers)

    world.engine.start = note
    task = ended(world, process)
    assert seen == [{f"orchestrator-{task.id}-{attempt}"} for attempt in (1, 2)]


def test_a_worker_that_dozed_past_its_lease_before_starting_starts_nothing(tmp_path: Path) -> None:
    """Wherever it dozed: the one who took the task over has run it meanwhile, and the command runs once."""
    for call in ("pull", "create", "attach", "begin", "start"):
        world = World(tmp_path / call, {PROGRAM: Program(stdout=b"out")})
        task = world.client.submit(REQUEST)
        puppet = Puppet("stale")
        stale = puppet.act("run", lambda world=world, puppet=puppet, task=task: world.worker(puppet).run(task.id)).until(call)
        assert stale.call == call
        world.expire_leases()
        world.worker().run(task.id)
        stale.until("nothing")
        assert stale.error is None
        assert world.client.get(task.id).status is State.SUCCEEDED
        assert list(world.engine.starts.values()) == [1]


def test_a_worker_that_dozed_past_its_lease_and_gives_up_leaves_the_container_to_others(tmp_path: Path) -> None:
    """It learns that the task is no longer its own before it removes anything."""
    world = World(tmp_path, {PROGRAM: Program(stdout=b"out", seconds=5)}, settings=HASTY)
    task = world.client.submit(REQUEST)
    stale, present = Puppet("stale"), Puppet("present")
    dozing = stale.act("run", lambda: world.worker(stale).run(task.id)).until("wait")
    world.expire_leases()
    running = present.act("run", lambda: world.worker(present).run(task.id)).until("wait")
    dozing.step(How.FAIL)
    dozing.until("nothing")
    assert world.engine.containers
    running.until("nothing")
    assert world.client.get(task.id).status is State.SUCCEEDED


def test_another_engine_makes_a_new_attempt(tmp_path: Path) -> None:
    """What was perhaps started there can start again only under another name."""
    for call in ("start", "wait"):
        world = World(tmp_path / call, {PROGRAM: Program(stdout=b"out")}, hosts=("a", "b"))
        task = world.client.submit(REQUEST)
        stale = Puppet("stale")
        actor = stale.act("run", lambda world=world, stale=stale, task=task: world.worker(stale, host="a").run(task.id))
        actor.until(call)
        world.clock.advance(world.settings.engine_patience + world.settings.lease_ttl + 1)
        world.sweep(host="b").once(30)
        actor.until("nothing")
        found = world.client.get(task.id)
        assert (found.status, found.attempt, found.engine) == (State.SUCCEEDED, 2, "b")
        assert [attempt.cause for attempt in found.attempts] == [Cause.INFRASTRUCTURE]
        assert list(world.engines["b"].starts) == [f"orchestrator-{task.id}-2"]
        world.sweep(host="a").once(30)
        assert not world.engines["a"].containers


def test_an_attempt_stays_with_the_engine_of_the_worker_that_began_it(tmp_path: Path) -> None:
    """A worker of another engine cannot have it while the first may only be slow."""
    world = World(tmp_path, {PROGRAM: FOREVER}, hosts=("a", "b"), settings=HASTY)
    task = world.client.submit(REQUEST)
    process = Process([*away("wait", 1).faults, Fault("start", 2, When.AFTER, Killed())])
    with pytest.raises(Killed):
        world.worker(process, host="a").run(task.id)
    world.expire_leases()
    assert world.client.get(task.id).attempt == 2
    assert world.worker(host="b").run(task.id) is None
    assert world.worker(host="a").run(task.id) is not None
    assert set(world.engines["a"].starts.values()) == {1}


def test_confirming_a_lease_that_somebody_else_has_is_refused(tmp_path: Path) -> None:
    """And extends nothing."""
    world = World(tmp_path)
    task = world.client.submit(REQUEST)
    leases = world.worker().leases
    with leases.hold(task.id, "memory") as held:
        assert held is not None
        leases.confirm(task.id, held.token)
        with pytest.raises(Superseded):
            leases.confirm(task.id, "another")


def test_the_engine_in_memory_has_a_name() -> None:
    """Two of them are told apart."""
    assert MemoryEngine(name="a").identity() != MemoryEngine(name="b").identity()
