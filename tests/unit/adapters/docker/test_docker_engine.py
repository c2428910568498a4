"""How the adapter gets through what an engine does when it is in trouble."""

import time
from collections.abc import Callable
from contextlib import nullcontext
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from orchestrator.adapters.docker import cleanup
from orchestrator.adapters.docker.engine import DockerEngine
from orchestrator.errors import InfrastructureError, TaskFailure
from orchestrator.ports import Created, Engine, EngineEvents, Phase, PullPolicy
from tests.support import pace
from tests.support.containers import Bench
from tests.unit.adapters.docker.engine_stub import (
    NOW,
    Answer,
    Handler,
    Stage,
    container,
    falls_silent,
    hangs_up,
    raw,
    refuses,
    says,
    streams,
)

INSPECT, START, WAIT = "GET /containers/c1/json", "POST /containers/c1/start", "POST /containers/c1/wait"
KILL, CREATE, DELETE = "POST /containers/c1/kill", "POST /containers/create", "DELETE /containers/c1"

CALLS: dict[str, Callable[[Engine], Any]] = {
    "identity": lambda engine: engine.identity(),
    "pull": lambda engine: engine.pull("image", PullPolicy.MISSING),
    "pull always": lambda engine: engine.pull("image", PullPolicy.ALWAYS),
    "create": lambda engine: engine.create(Bench(engine).plan("true")),
    "create with files": lambda engine: engine.create(Bench(engine).plan("true", files={"a": b"b"})),
    "attach": lambda engine: engine.attach("c1", None),
    "read_log": lambda engine: list(engine.read_log("c1")),
    "start": lambda engine: engine.start("c1"),
    "inspect": lambda engine: engine.inspect("c1"),
    "wait": lambda engine: engine.wait("c1", 0.1),
    "stop": lambda engine: engine.stop("c1", 0.1),
    "stats": lambda engine: list(engine.stats("c1")),
    "remove": lambda engine: engine.remove("c1", "ours"),
}


STREAMS = (CALLS["attach"], CALLS["stats"])
breaks_off = raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
@pytest.mark.parametrize(
    "answer", [refuses(500, "out of order"), hangs_up, falls_silent, breaks_off],
    ids=["500", "hangs up", "falls silent", "breaks off"],
)  # fmt: skip
def test_an_engine_in_trouble_is_infrastructure(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, call: Callable[[Engine], Any], answer: Answer
) -> None:
    """No call lets out an error of another kind, and none waits for ever. Streams that have begun simply end."""
    stub, engine = stage({})
    monkeypatch.setattr(stub, "answer", lambda asked: says(200, {"ApiVersion": "1.41"}) if "version" in asked else answer)
    began = time.monotonic()
    with nullcontext() if answer is breaks_off and call in STREAMS else pytest.raises(InfrastructureError):
        call(engine)
    assert time.monotonic() - began < pace.seconds(5)


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
def test_an_engine_that_is_not_there_is_infrastructure(tmp_path: Path, call: Callable[[Engine], Any]) -> None:
    """Nothing is connected when the adapter is made; every call says that nobody answers."""
    engine = DockerEngine(f"unix://{tmp_path}/nobody.sock")
    with pytest.raises(InfrastructureError):
        call(engine)


@pytest.mark.parametrize("slashes", ["unix://", "unix:///"])
def test_both_ways_to_write_a_socket_are_understood(stage: Stage, slashes: str) -> None:
    """Two slashes are what people write."""
    stub, _ = stage({INSPECT: container("running")})
    path = stub.url.removeprefix("unix://").lstrip("/")
    engine = DockerEngine(f"{slashes}{path}")
    assert engine.inspect("c1").phase is Phase.RUNNING
    engine.close()


def test_a_create_whose_reply_is_lost_is_adopted_by_name(stage: Stage) -> None:
    """The name is taken by what the first call made; already started, it is adopted."""
    _, engine = stage({CREATE: [hangs_up, refuses(409, "name in use")], INSPECT: container("running")})
    plan = Bench(engine).plan("true", name="c1", labels={"task": "t1"})
    with pytest.raises(InfrastructureError):
        engine.create(plan)
    assert engine.create(plan) == Created("c1", adopted=True)


def test_a_start_whose_reply_is_lost_has_started(stage: Stage) -> None:
    """The container tells."""
    stub, engine = stage({INSPECT: [container("created"), container("running")], START: hangs_up})
    engine.start("c1")
    assert stub.calls.count(START) == 1


def test_a_start_that_was_not_heard_is_an_error(stage: Stage) -> None:
    """So that it is made again."""
    _, engine = stage({INSPECT: container("created"), START: hangs_up})
    with pytest.raises(InfrastructureError):
        engine.start("c1")


@pytest.mark.parametrize("status", ["running", "exited"])
def test_start_leaves_alone_what_was_started(stage: Stage, status: str) -> None:
    """The engine would run an exited program again."""
    stub, engine = stage({INSPECT: container(status), START: says(204)})
    engine.start("c1")
    assert START not in stub.calls


def test_wait_outlives_cut_connections(stage: Stage) -> None:
    """Neither a cut nor an answer that comes too early is taken for the exit."""
    cuts: list[Answer] = [hangs_up, says(200, {"StatusCode": 0}), refuses(500, "restarting"), says(200, {"StatusCode": 3})]
    states = [*[container("running")] * 3, container("exited", ExitCode=3)]
    stub, engine = stage({WAIT: cuts, INSPECT: states})
    assert engine.wait("c1", 60).exit_code == 3
    assert stub.calls.count(WAIT) == 4


def test_wait_returns_at_the_deadline_though_the_engine_is_silent(stage: Stage) -> None:
    """The deadline is kept by this machine's clock."""
    _, engine = stage({WAIT: falls_silent, INSPECT: container("running")})
    began = time.monotonic()
    assert engine.wait("c1", 0.2).phase is Phase.RUNNING
    assert 0.2 <= time.monotonic() - began < pace.seconds(2)


@pytest.mark.parametrize(
    ("kill", "reached"),
    [
        (refuses(409, "is not running"), False),
        (refuses(500, "no such process"), True),
        (refuses(404, "No such container"), False),
        (hangs_up, True),
    ],
)
@pytest.mark.parametrize("grace", [0, 0.1])
def test_stop_does_not_mind_that_the_program_has_ended(stage: Stage, kill: Answer, grace: float, *, reached: bool) -> None:
    """Somebody was faster; or the call itself ended it, and the reply was lost."""
    _, engine = stage({KILL: kill, INSPECT: container("exited"), WAIT: says(200, {"StatusCode": 0})})
    assert engine.stop("c1", grace) is reached


def test_stop_says_when_the_program_survives(stage: Stage) -> None:
    """Somebody has to look at such an engine."""
    _, engine = stage({KILL: says(204), INSPECT: container("running"), WAIT: falls_silent})
    with pytest.raises(InfrastructureError, match="survives"):
        engine.stop("c1", 0)


def test_remove_waits_for_a_removal_that_is_under_way(stage: Stage) -> None:
    """A conflict is asked again until the container is gone."""
    stub, engine = stage(
        {
            INSPECT: container("exited"),
            DELETE: [refuses(409, "removal is already in progress"), refuses(404, "No such container")],
        }
    )
    engine.remove("c1", "ours")
    assert stub.calls.count(DELETE) == 2


def test_remove_gives_up_on_a_removal_that_does_not_end(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the engine's own words, once it has waited for as long as it does."""
    monkeypatch.setattr(cleanup, "_IN_USE", 0.3)
    _, engine = stage({INSPECT: container("exited"), DELETE: refuses(409, "removal is already in progress")})
    with pytest.raises(InfrastructureError, match="in progress"):
        engine.remove("c1", "ours")


KILLED = b'{"Action": "kill", "Actor": {"Attributes": {"signal": "9"}}}\n'
DIED = b'{"Action": "die", "Actor": {"Attributes": {"exitCode": "137"}}}\n'


@pytest.mark.parametrize("told", [streams(KILLED, DIED, whole=False), streams(KILLED)], ids=["its end", "the end is forgotten"])
def test_what_befell_a_container_is_read_up_to_its_end(stage: Stage, told: Answer) -> None:
    """The engine is not asked for its time first; it is left waiting a moment for an end that it does not remember."""
    asked: list[str] = []

    def events(handler: Handler) -> None:
        asked.extend(parse_qs(urlsplit(handler.path).query)["until"])
        told(handler)

    _, engine = stage({"GET /events": events})
    assert engine.noted("c1") == EngineEvents(["SIGKILL"])
    assert float(asked[0]) == pytest.approx(datetime.fromisoformat(NOW).timestamp() + 1, abs=0.9)


@pytest.mark.parametrize(
    ("status", "phase", "removing"),
    [("paused", Phase.RUNNING, False), ("dead", Phase.EXITED, True), ("removing", Phase.EXITED, True)],
)
def test_rare_states_are_understood(stage: Stage, status: str, phase: Phase, *, removing: bool) -> None:
    """The engine has more words than the worker needs."""
    _, engine = stage({INSPECT: container(status)})
    assert (engine.inspect("c1").phase, engine.inspect("c1").removing) == (phase, removing)


def test_a_refused_start_is_the_tasks_fault(stage: Stage) -> None:
    """What the engine answers to wishes that it cannot fulfil."""
    _, engine = stage({INSPECT: container("created"), START: refuses(400, "OCI runtime create failed")})
    with pytest.raises(TaskFailure, match="OCI runtime"):
        engine.start("c1")
