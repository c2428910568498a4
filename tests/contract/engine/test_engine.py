"""The Engine's contract on the life of a container, on the engine in memory and on Docker."""

import time
import uuid
from collections.abc import Callable
from statistics import mean
from typing import Any

import pytest
from attrs import evolve

from orchestrator.errors import ContainerMissing, ImageUnavailable, InfrastructureError
from orchestrator.ports import ContainerPlan, Created, Engine, Phase, PullPolicy
from orchestrator.task.labels import ATTEMPT, DEPLOYMENT, NONCE, TASK, WORKER
from tests.contract.engine import shell
from tests.support import pace
from tests.support.containers import IMAGE, Bench

AT_ONCE = 0.0
SOON = pace.seconds(5.0)
Call = Callable[[Engine, str], Any]


@pytest.fixture(params=["memory", "real", "warm"])
def kind(request: pytest.FixtureRequest) -> str:
    """Which engine is under test; the last one has containers that wait for a program."""
    return request.param


def test_identity_stays(bench: Bench) -> None:
    """Asking twice gives the same id."""
    assert bench.engine.identity() == bench.engine.identity() != ""


def test_a_program_runs_and_its_exit_code_and_output_are_seen(bench: Bench) -> None:
    """The plain life: create, attach, start, wait."""
    ran = bench.run(shell.SPEAK)
    assert (ran.state.phase, ran.state.exit_code, ran.state.oom_killed) == (Phase.EXITED, 3, False)
    assert (ran.stdout, ran.stderr) == (b"out\n", b"err\n")
    assert not bench.engine.took_down(ran.state, away=False)


def test_a_created_container_is_not_started(bench: Bench) -> None:
    """Create does not start. The created container has its labels."""
    plan = bench.plan(shell.SPEAK)
    created = bench.engine.create(plan)
    state = bench.engine.inspect(created.id)
    assert (state.id, state.phase, state.started_at, state.ran_for) == (created.id, Phase.CREATED, None, 0.0)
    assert plan.labels.items() <= state.labels.items()
    assert not created.adopted


@pytest.mark.parametrize("phase", [Phase.RUNNING, Phase.EXITED])
def test_create_adopts_what_was_started(bench: Bench, phase: Phase) -> None:
    """A repeated create finds the first container, running or exited, and does not change it."""
    plan = bench.plan(shell.SPEAK if phase is Phase.EXITED else shell.SLEEP)
    first = bench.engine.create(plan)
    bench.engine.start(first.id)
    if phase is Phase.EXITED:
        bench.engine.wait(first.id, SOON)
    assert bench.engine.create(plan) == Created(first.id, adopted=True)
    assert bench.engine.inspect(first.id).phase is phase


def test_create_replaces_what_was_never_started(bench: Bench) -> None:
    """Another worker that is about to start the first container finds it gone, so the command cannot run twice."""
    plan = bench.plan(shell.SPEAK)
    first = bench.engine.create(plan)
    second = bench.engine.create(plan)
    assert (second.adopted, second.id != first.id) == (False, True)
    with pytest.raises(ContainerMissing):
        bench.engine.start(first.id)
    assert bench.engine.inspect(second.id).phase is Phase.CREATED


def test_another_worker_adopts_too(bench: Bench) -> None:
    """The label of the maker differs if another worker continues the task."""
    plan = bench.plan(shell.SLEEP)
    first = bench.engine.create(plan)
    bench.engine.start(first.id)
    second = bench.engine.create(evolve(plan, labels={**plan.labels, WORKER: "two"}))
    assert second == Created(first.id, adopted=True)


def test_starting_twice_starts_once(bench: Bench) -> None:
    """The second start finds a running program and leaves it alone."""
    container = bench.start(shell.SLEEP)
    before = bench.engine.inspect(container)
    bench.engine.start(container)
    assert bench.engine.inspect(container).started_at == before.started_at


def test_an_exited_program_is_not_started_again(bench: Bench) -> None:
    """The command runs once, however often start is called."""
    container = bench.start(shell.SPEAK)
    ended = bench.engine.wait(container, SOON)
    bench.engine.start(container)
    again = bench.engine.inspect(container)
    assert (again.phase, again.started_at, again.finished_at) == (Phase.EXITED, ended.started_at, ended.finished_at)
    assert bench.logged(container)["stdout"] == b"out\n"


def test_wait_comes_back_at_the_timeout(bench: Bench) -> None:
    """A program that runs on is reported as running."""
    container = bench.start(shell.SLEEP)
    began = time.monotonic()
    assert bench.engine.wait(container, 0.5).phase is Phase.RUNNING
    assert time.monotonic() - began < SOON


def test_wait_comes_back_at_the_exit(bench: Bench) -> None:
    """The wait ends with the program."""
    container = bench.start(shell.NAP)
    began = time.monotonic()
    state = bench.engine.wait(container, 1000)
    assert state.phase is Phase.EXITED
    assert 0.1 < state.ran_for < SOON
    assert time.monotonic() - began < SOON


def test_waiting_for_a_program_that_was_never_started_ends_at_the_timeout(bench: Bench) -> None:
    """Not running is not the same as having exited."""
    container = bench.engine.create(bench.plan(shell.SPEAK)).id
    assert bench.engine.wait(container, 0.3).phase is Phase.CREATED


def test_stop_asks_first(bench: Bench) -> None:
    """A program that does not ignore TERM ends."""
    container = bench.start(shell.SLEEP)
    next(iter(bench.engine.read_log(container)))  # a TERM that comes before init listens is lost
    assert bench.engine.stop(container, 1000)
    state = bench.engine.inspect(container)
    assert (state.phase, state.exit_code) == (Phase.EXITED, 143)


@pytest.mark.parametrize("grace", [AT_ONCE, 0.5])
def test_stop_kills_what_ignores_term(bench: Bench, grace: float) -> None:
    """After the grace, or without any, the program is ended by force."""
    container = bench.start(shell.STUBBORN)
    next(iter(bench.engine.read_log(container)))  # so that it ignores TERM by now
    assert bench.engine.stop(container, grace)
    state = bench.engine.inspect(container)
    assert (state.phase, state.exit_code) == (Phase.EXITED, 137)
    assert state.ran_for >= grace


def test_stopping_what_does_not_run_does_nothing(bench: Bench) -> None:
    """Created, exited, gone: stop raises nothing, and returns that it has ended nothing."""
    plan = bench.plan(shell.SPEAK)
    container = bench.engine.create(plan).id
    assert not bench.engine.stop(container, SOON)
    assert bench.engine.inspect(container).phase is Phase.CREATED
    bench.engine.start(container)
    assert bench.engine.wait(container, SOON).exit_code == 3
    assert not bench.engine.stop(container, AT_ONCE)
    assert bench.engine.inspect(container).exit_code == 3
    bench.remove(plan)
    assert not bench.engine.stop(container, SOON)


def test_remove_ends_a_running_program_and_may_be_repeated(bench: Bench) -> None:
    """A removed container stays removed; a second removal raises nothing."""
    plan = bench.plan(shell.STUBBORN)
    container = bench.engine.create(plan).id
    bench.engine.start(container)
    bench.remove(plan)
    bench.remove(plan)
    with pytest.raises(ContainerMissing):
        bench.engine.inspect(container)


@pytest.mark.parametrize(
    "call",
    [
        lambda engine, container: engine.inspect(container),
        lambda engine, container: engine.start(container),
        lambda engine, container: engine.attach(container, None),
        lambda engine, container: engine.read_log(container),
        lambda engine, container: engine.wait(container, SOON),
        lambda engine, container: list(engine.stats(container)),
    ],
    ids=["inspect", "start", "attach", "read_log", "wait", "stats"],
)
def test_a_container_that_is_not_there_is_missing(bench: Bench, call: Call) -> None:
    """Every call that needs the container says that it is gone."""
    with pytest.raises(ContainerMissing):
        call(bench.engine, "0" * 64)


def test_the_log_has_all_output_as_often_as_it_is_read(bench: Bench) -> None:
    """After the exit, with and without an attached client."""
    container = bench.start(shell.SPEAK)
    bench.engine.wait(container, SOON)
    for _ in range(2):
        assert bench.logged(container) == {"stdout": b"out\n", "stderr": b"err\n"}


def test_an_image_that_is_there_needs_no_pull(bench: Bench) -> None:
    """With the policies missing and never, the engine asks no registry."""
    bench.engine.pull(IMAGE, PullPolicy.MISSING)
    bench.engine.pull(IMAGE, PullPolicy.NEVER)


def test_an_image_that_is_not_there_and_may_not_be_pulled_is_unavailable(bench: Bench) -> None:
    """The message names the image."""
    with pytest.raises(ImageUnavailable, match="no-such-image"):
        bench.engine.pull("no-such-image:1", PullPolicy.NEVER)


def test_a_busy_program_is_sampled_until_it_ends(bench: Bench) -> None:
    """One core kept busy is 100 % at most, less on a machine that has other work, and the samples end with the program.

    A single sample may be wrong: the engine reads the two clocks that it divides one after the other.
    """
    container = bench.start(shell.BUSY)
    samples = []
    for sample in bench.engine.stats(container):
        samples.append(sample)
        bench.engine.wait(container, 0.1)
    assert samples
    assert 5 < mean(sample.cpu_percent for sample in samples) < 150
    assert min(sample.memory_bytes for sample in samples) > 0


def test_what_belongs_to_a_deployment_is_found_by_its_labels(bench: Bench) -> None:
    """In every phase, under the name by which it is removed. Containers of other deployments are not listed."""
    plans = [_owned(bench, ours := uuid.uuid4().hex, 1), _owned(bench, ours, 2)]
    stranger = _owned(bench, uuid.uuid4().hex, 1)
    for plan in (*plans, stranger):
        bench.engine.create(plan)
    bench.engine.start(bench.engine.create(plans[1]).id)
    found = {(owned.name, owned.task_id, owned.attempt) for owned in bench.engine.owned(ours)}
    assert found == {(plan.name, "t1", attempt) for attempt, plan in enumerate(plans, 1)}
    for plan in plans:
        bench.remove(plan)
    assert list(bench.engine.owned(ours)) == []


def test_what_another_deployment_has_under_a_name_is_left_alone(bench: Bench) -> None:
    """The container is neither removed, adopted nor replaced, also before it was started."""
    theirs = _owned(bench, uuid.uuid4().hex, 1)
    ours = evolve(theirs, labels={**theirs.labels, DEPLOYMENT: uuid.uuid4().hex})
    container = bench.engine.create(theirs).id
    for phase in (Phase.CREATED, Phase.RUNNING):
        bench.engine.remove(ours.name, ours.labels[DEPLOYMENT])
        with pytest.raises(InfrastructureError, match="other labels"):
            bench.engine.create(ours)
        assert bench.engine.inspect(theirs.name).id == container
        assert bench.engine.inspect(theirs.name).phase is phase
        bench.engine.start(container)


def test_what_another_task_of_the_same_id_has_under_a_name_is_left_alone(bench: Bench) -> None:
    """Container and volumes. Without a nonce, everything of the deployment with this name is removed."""
    plan = _owned(bench, ours := uuid.uuid4().hex, 1)
    theirs = evolve(plan, labels={**plan.labels, NONCE: "theirs"}, files={"f": b"x"}, out=True)
    container = bench.engine.create(theirs).id
    with pytest.raises(InfrastructureError, match="other labels"):
        bench.engine.create(evolve(theirs, labels={**theirs.labels, NONCE: "ours"}))
    bench.engine.remove(theirs.name, ours, "ours")
    assert bench.engine.inspect(theirs.name).id == container
    assert {owned.nonce for owned in bench.engine.owned(ours)} == {"theirs"}
    bench.engine.remove(theirs.name, ours, "theirs")
    assert list(bench.engine.owned(ours)) == []
    bench.engine.create(theirs)
    bench.engine.remove(theirs.name, ours)
    assert list(bench.engine.owned(ours)) == []


def _owned(bench: Bench, deployment: str, attempt: int) -> ContainerPlan:
    return bench.plan(shell.SLEEP, labels={DEPLOYMENT: deployment, TASK: "t1", ATTEMPT: str(attempt), WORKER: "one"})
