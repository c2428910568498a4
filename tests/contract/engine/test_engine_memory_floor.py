"""The least memory: containers with the measured memory start, and smaller ones are refused, on any host."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from orchestrator.adapters.docker import memory_floor as docker_floor
from orchestrator.adapters.docker.container_config import STARTABLE
from orchestrator.adapters.docker.engine import DockerEngine
from orchestrator.adapters.docker.memory_floor import SIZES, MemoryFloor, Probe
from orchestrator.errors import InfrastructureError, TaskFailure
from orchestrator.ports import ContainerPlan, Phase
from orchestrator.task.limits import Limits
from orchestrator.task.units import format_size
from tests.support.containers import WHERE, Bench, leftovers

STARTS = 6


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """A bench on an engine that has not been measured, with a quick measurement that may be wrong."""
    monkeypatch.setattr(docker_floor, "_STARTS", 2)
    bench = Bench(DockerEngine(WHERE))
    yield bench
    bench.clear()
    bench.engine.close()


def planned(bench: Bench, memory: int, **changes: object) -> ContainerPlan:
    """A program that ends at once, with so much memory."""
    return bench.plan("true", limits=Limits(memory=memory), **changes)


def told(call: Callable[[], object]) -> str | None:
    """The message of a failed call; None if it succeeds."""
    try:
        call()
    except TaskFailure as failure:
        return f"{failure.cause}: {failure.message}"
    except InfrastructureError as error:
        return str(error)
    return None


def refusal(bench: Bench, plan: ContainerPlan) -> str | None:
    """The reason why the plan is refused before its container is made; None if the container is made."""
    return told(lambda: bench.engine.create(plan))


def least(bench: Bench) -> int:
    """The least size that is not refused."""
    return next(size for size in SIZES if refusal(bench, planned(bench, size)) is None)


def sentence(memory: int, enough: int) -> str:
    """The message for the owner of a task."""
    return (
        f"invalid: limits.memory: {format_size(memory)} is below {format_size(enough)}, "
        "the least with which this engine can reliably start a container"
    )


def doubted(plan: ContainerPlan) -> str:
    """What is told of a start that failed for the first time, with a size that was measured to be enough."""
    return f"docker: container {plan.name} did not start, though others with as much memory do"


def test_what_is_enough_starts_again_and_again(docker: Bench, record_property: Callable[[str, object], None]) -> None:
    """A size that fails for a second time is not called enough any more, so some size is that holds."""
    for _ in range(2 * len(SIZES)):
        enough = least(docker)
        plans = [planned(docker, enough) for _ in range(STARTS)]
        ends = [told(lambda plan=plan: docker.run_plan(plan)) for plan in plans]  # type: ignore[misc]
        if not any(ends):
            record_property("host: least memory of a container, a task's and /out's alike", format_size(enough))
            break
        assert {*ends} <= {None, sentence(enough, least(docker)), *(doubted(plan) for plan in plans)}
    assert [docker.engine.inspect(plan.name).exit_code for plan in plans] == [0] * STARTS


def test_what_is_below_is_refused_in_one_sentence_and_nothing_is_made(docker: Bench) -> None:
    """Also for a plan that would have folders beside it; what the measurement took is gone."""
    enough = least(docker)
    for size in [size for size in SIZES if size < enough]:
        plan = planned(docker, size, files={"a": b"b"}, out=True)
        assert refusal(docker, plan) == sentence(size, enough)
        assert leftovers(plan.name) == []


def test_of_many_plans_at_once_one_is_measured_for(fresh: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others wait for it; and none of its containers is left."""
    measured: list[str] = []
    plans = [planned(fresh, STARTABLE // 2 + number) for number in range(4)]
    measure = Probe.least

    def counted(probe: Probe, sizes: Sequence[int]) -> int | None:
        measured.append(probe.name)
        return measure(probe, sizes)

    monkeypatch.setattr(Probe, "least", counted)
    with ThreadPoolExecutor(len(plans)) as pool:
        refused = [*pool.map(lambda plan: refusal(fresh, plan), plans)]
    assert len(measured) == 1
    assert len({why is None for why in refused}) == 1
    assert [leftovers(plan.name) for plan in plans] == [
        [] if why else [plan.name] for plan, why in zip(plans, refused, strict=True)
    ]


def test_enough_for_any_engine_is_never_measured_for(fresh: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """It costs nothing."""
    monkeypatch.setattr(Probe, "starts", None)
    assert fresh.run_plan(planned(fresh, STARTABLE)).state.exit_code == 0


def test_a_start_that_fails_for_memory_is_told_in_the_same_sentence(fresh: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a lucky measurement: with the least memory that engines accept, the program runs, or the message is this package's.

    The runtime's own words, which differ each time, never appear.
    """
    monkeypatch.setattr(MemoryFloor, "check", lambda *_: None)
    words, tries = None, 0
    while words is None and tries < STARTS:
        plan, tries = planned(fresh, SIZES[0]), tries + 1
        fresh.engine.create(plan)
        words = told(lambda plan=plan: fresh.engine.start(plan.name))  # type: ignore[misc]
        assert (fresh.engine.inspect(plan.name).phase is Phase.CREATED) == (words is not None)
    known = max(fresh.engine._floor._least.values(), default=0)
    assert words in {None, doubted(plan), sentence(SIZES[0], known)}


def test_what_the_owner_got_wrong_is_told_as_such_with_little_memory_too(docker: Bench) -> None:
    """A program cannot run in a folder that is a file."""
    plan = planned(docker, least(docker), working_dir="/bin/busybox")
    with pytest.raises(TaskFailure, match="not a directory"):
        docker.run_plan(plan)


def test_a_program_that_runs_with_little_memory_is_adopted_without_a_measurement(
    docker: Bench, fresh: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another worker has started it, so it may."""
    plan = docker.plan("exec sleep 1000", limits=Limits(memory=STARTABLE - 1))
    docker.engine.start(docker.engine.create(plan).id)
    monkeypatch.setattr(Probe, "starts", None)
    assert fresh.engine.create(plan).adopted
