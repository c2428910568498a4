"""The least memory for a start: how it is measured, and what a failed start is told as; on a scripted engine."""

from typing import Any

import pytest

from orchestrator.adapters.docker import memory_floor as docker_floor
from orchestrator.errors import InfrastructureError, TaskFailure
from orchestrator.ports import Created
from orchestrator.task.labels import DEPLOYMENT
from orchestrator.task.limits import Limits
from tests.support.containers import Bench
from tests.unit.adapters.docker.engine_stub import NOW, Answer, Script, Stage, StubEngine, container, hangs_up, refuses, says

MEBI = 1 << 20
STARTS = 2
OURS = {DEPLOYMENT: "ours"}
CREATE, INSPECT, START = "POST /containers/create", "GET /containers/c1/json", "POST /containers/c1/start"
PROBE = "/containers/c1-floor-x"
LAUNCH, LOOK, FILL = f"POST {PROBE}/start", f"GET {PROBE}/json", f"PUT {PROBE}/archive"
RUNC = refuses(400, "OCI runtime create failed: BPF_PROG_ATTACH: no such file or directory")
STOPPED = refuses(500, "cannot start a stopped process")
ENDED = container("exited")
LEAST = "least with which this engine can reliably start a container"


def info(version: str = "20.10", architecture: str = "x86_64") -> Answer:
    """What an engine of this version says of itself."""
    return says(200, {"ID": "engine", "SystemTime": NOW, "Architecture": architecture, "ServerVersion": version})


def engine_with(**answers: Answer | list[Answer]) -> Script:
    """An engine on which probes start, but for what is scripted by ``start`` and ``look``; c1 is there as ``here`` says."""
    return {
        "GET /info": answers.get("info", info()),
        CREATE: says(201, {"Id": "c1"}),
        FILL: says(200),
        LAUNCH: answers.get("start", says(204)),
        f"POST {PROBE}/wait": says(200, {"StatusCode": 0}),
        LOOK: answers.get("look", ENDED),
        "DELETE /containers/c1": says(204),
        INSPECT: answers.get("here", refuses(404, "No such container")),
        START: answers.get("own", says(204)),
    }


def small(mebibytes: int, status: str = "created") -> Answer:
    """The answer to inspect for c1, which has so much memory."""
    times = {"StartedAt": NOW, "FinishedAt": NOW}
    state = {"Status": status, "Running": False, "ExitCode": 0, "OOMKilled": False, "Error": "", **times}
    config = {"Labels": OURS, "Image": "image"}
    reading = {"Id": "c1", "Name": "/c1", "State": state, "Config": config, "HostConfig": {"Memory": mebibytes * MEBI}}
    return says(200, reading)


@pytest.fixture(autouse=True)
def _named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Probes have one name, and two starts are enough."""
    monkeypatch.setattr(docker_floor, "token_hex", lambda _: "x")
    monkeypatch.setattr(docker_floor, "_STARTS", STARTS)


def create(engine: Any, mebibytes: int) -> Created:
    """Make c1 with so much memory."""
    return engine.create(Bench(engine).plan("true", name="c1", labels=OURS, limits=Limits(memory=mebibytes * MEBI)))


def launched(stub: StubEngine) -> int:
    """How many probes were started."""
    return stub.calls.count(LAUNCH)


def test_a_size_counts_when_so_many_starts_in_a_row_succeed(stage: Stage) -> None:
    """The first failure goes to the next size: 6 fails at once, 8 at the second start, 10 never.

    Each time one with enough memory shows that the engine starts containers at all.
    """
    starts, fails = says(204), (STOPPED, RUNC)
    stub, engine = stage(engine_with(start=[fails[0], starts, starts, fails[1], starts, starts]))
    with pytest.raises(TaskFailure, match=f"limits.memory: 8 MiB is below 10 MiB, the {LEAST}"):
        create(engine, 8)
    assert (launched(stub), stub.calls.count(CREATE)) == (7, 7)
    assert create(engine, 10) == Created("c1", adopted=False)
    assert launched(stub) == 7


@pytest.mark.parametrize("state", [{"ExitCode": 137}, {"OOMKilled": True}])
def test_a_start_whose_program_is_killed_is_none(stage: Stage, state: dict[str, object]) -> None:
    """The engine says that it started, and the kernel ended it before it had begun."""
    _, engine = stage(engine_with(look=[container("exited", **state), ENDED]))
    with pytest.raises(TaskFailure, match="6 MiB is below 8 MiB"):
        create(engine, 6)


def test_what_is_enough_for_any_engine_asks_nothing(stage: Stage) -> None:
    """Not even what the engine is."""
    stub, engine = stage(engine_with())
    create(engine, 32)
    assert {LAUNCH, "GET /info"}.isdisjoint(stub.calls)


def test_an_engine_that_was_replaced_is_measured_again(stage: Stage) -> None:
    """As one that was upgraded under a worker."""
    stub, engine = stage(engine_with(info=[info("20.10"), info("20.10"), info("26.1")]))
    for _ in range(3):
        create(engine, 8)
    assert launched(stub) == 2 * STARTS


def test_a_machine_that_the_probe_is_not_written_for_is_not_measured(stage: Stage) -> None:
    """Nothing is refused there; a container's own start tells."""
    stub, engine = stage(engine_with(info=info(architecture="riscv64")))
    assert create(engine, 8) == Created("c1", adopted=False)
    assert launched(stub) == 0


def test_an_engine_that_starts_nothing_says_nothing_of_memory(stage: Stage) -> None:
    """As while its containerd is away: nothing is refused, and the next plan is measured for."""
    stub, engine = stage(engine_with(start=[STOPPED, STOPPED, says(204)]))
    assert create(engine, 6) == Created("c1", adopted=False)
    assert launched(stub) == 2
    create(engine, 6)
    assert launched(stub) == 2 + STARTS


def test_an_engine_that_goes_away_meanwhile_is_infrastructure_and_nothing_is_taken_for_known(stage: Stage) -> None:
    """No size is called too small for that; the probe is removed, and the next plan is measured for."""
    stub, engine = stage(engine_with(start=[hangs_up, says(204)]))
    with pytest.raises(InfrastructureError):
        create(engine, 6)
    assert stub.calls[-1] == "DELETE /containers/c1"
    create(engine, 6)
    assert launched(stub) == 1 + STARTS


@pytest.mark.parametrize("own", [RUNC, STOPPED], ids=["400", "500"])
def test_a_start_that_fails_for_memory_is_told_in_one_sentence(stage: Stage, own: Answer) -> None:
    """One as it starts with more memory, and not with the same."""
    _, engine = stage(engine_with(here=small(8), own=own, start=[says(204), STOPPED, says(204)]))
    with pytest.raises(TaskFailure, match=f"^limits.memory: 8 MiB is below 10 MiB, the {LEAST}$"):
        engine.start("c1")
    with pytest.raises(TaskFailure, match="8 MiB is below 10 MiB"):
        engine._floor.check(Bench(engine).plan("true", limits=Limits(memory=8 * MEBI)))


@pytest.mark.parametrize("own", [RUNC, STOPPED], ids=["400", "500"])
def test_a_start_that_fails_though_there_is_enough_memory_is_made_again(stage: Stage, own: Answer) -> None:
    """The engine may have had trouble of its own; a second failure with as much memory tells that it is too little."""
    _, engine = stage(engine_with(here=small(8), own=own))
    with pytest.raises(InfrastructureError, match="did not start, though others with as much memory do"):
        engine.start("c1")
    with pytest.raises(TaskFailure, match=f"^limits.memory: 8 MiB is below 10 MiB, the {LEAST}$"):
        engine.start("c1")


def test_a_start_that_fails_with_more_memory_too_fails_for_another_reason(stage: Stage) -> None:
    """Which is told as ever."""
    stub, engine = stage(engine_with(here=small(8), own=refuses(400, "chdir to cwd: not a directory"), start=STOPPED))
    with pytest.raises(TaskFailure, match="not a directory"):
        engine.start("c1")
    assert launched(stub) == 1


@pytest.mark.parametrize(("own", "mebibytes"), [(hangs_up, 8), (refuses(409, "is being removed"), 8), (STOPPED, 32)])
def test_nothing_is_measured_where_memory_has_no_part_in_it(stage: Stage, own: Answer, mebibytes: int) -> None:
    """A reply that is lost, a container in other hands, and one with enough memory."""
    stub, engine = stage(engine_with(here=small(mebibytes), own=own))
    with pytest.raises(InfrastructureError):
        engine.start("c1")
    assert launched(stub) == 0
