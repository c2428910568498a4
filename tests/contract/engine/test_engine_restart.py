"""The reports of an engine that went down and came back on the programs that ran then; the engine is the test's."""

import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress

import docker
import pytest

from orchestrator.adapters.docker.engine import DockerEngine
from orchestrator.adapters.docker.given_id import given_id
from orchestrator.errors import ContainerMissing
from orchestrator.ports import ContainerState, Phase
from tests.support import pace
from tests.support.containers import LABEL, Bench
from tests.support.fault_dockerd import Dockerd
from tests.support.fault_wait import until
from tests.support.noise import Noise

REMEMBERED = 256
LOOP = "while :; do usleep 20000; done"
RUNNING = {"plain": LOOP, "trap 0": f"trap 'exit 0' TERM; {LOOP}", "trap 3": f"trap 'exit 3' TERM; {LOOP}"}
ENDED = {"ended 0": "exit 0", "ended 3": "exit 3"}
Ends = dict[str, ContainerState]
BRIDGE = "--bridge="
"""With the engine's own bridge; it gets one in its network of its own."""


@pytest.fixture
def dockerd(request: pytest.FixtureRequest) -> Iterator[Dockerd]:
    """An engine, local to its client, whose own start is known by its process, and perhaps by its bridge."""
    if os.geteuid() != 0:
        pytest.skip("only root may start an engine: run the tests as root")
    with Dockerd(*request.param) as dockerd:
        yield dockerd


@contextmanager
def _bench(dockerd: Dockerd) -> Iterator[Bench]:
    """A bench of its own client. What it made is removed, also the control groups, which are the host's."""
    with closing(DockerEngine(dockerd.host)) as engine:
        bench = Bench(engine)
        yield bench
        bench.clear()


def _lived_through(dockerd: Dockerd, bench: Bench, how: signal.Signals) -> Ends:
    containers = {name: bench.start(script) for name, script in {**RUNNING, **ENDED}.items()}
    for name in ENDED:
        assert bench.engine.wait(containers[name], pace.seconds(15)).phase is Phase.EXITED
    until(lambda: all(bench.engine.inspect(containers[name]).ran_for > 0.3 for name in RUNNING))  # the traps are set
    dockerd.stop(how)
    dockerd.start()
    return {name: bench.engine.inspect(container) for name, container in containers.items()}


def _down(bench: Bench, ends: Mapping[str, ContainerState], *, away: bool) -> set[str]:
    return {name for name, state in ends.items() if bench.engine.took_down(state, away=away)}


@pytest.mark.parametrize("dockerd", [(), (BRIDGE,)], ids=["no bridge", "bridge"], indirect=True)
@pytest.mark.parametrize(
    ("how", "down", "seen"),
    [
        (signal.SIGTERM, {"plain"}, {"plain", "trap 3"}),  # the engine saw how they took its TERM
        (signal.SIGKILL, {*RUNNING}, {*RUNNING}),  # their ends were seen by the next engine, which ended them
    ],
)
def test_what_ran_was_taken_down_and_what_had_finished_was_not(
    dockerd: Dockerd, how: signal.Signals, down: set[str], seen: set[str]
) -> None:
    """However busy the engine has been since. Programs that began later are not affected."""
    with _bench(dockerd) as bench:
        ends = _lived_through(dockerd, bench, how)
        young = {code: bench.run(f"exit {code}").state for code in ("0", "137", "143", "255")}
        with Noise(0, dockerd.host) as noise:
            for events in (0, REMEMBERED + 2):
                noise.burst(events)
                assert _down(bench, ends, away=False) == down
                assert _down(bench, {name: ends[name] for name in RUNNING}, away=True) == seen
                assert _down(bench, young, away=True) == set()


@pytest.mark.parametrize("dockerd", [("--live-restore",)], ids=["live-restore"], indirect=True)
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_an_engine_that_keeps_its_programs_takes_none_down(dockerd: Dockerd, how: signal.Signals) -> None:
    """A later end of these programs is their own, or another program's that stops them."""
    with _bench(dockerd) as bench:
        ends = _lived_through(dockerd, bench, how)
        assert {name for name, state in ends.items() if state.phase is Phase.RUNNING} == {*RUNNING}
        for state in ends.values():
            bench.engine.stop(state.id, pace.seconds(10))
        ends = {name: bench.engine.inspect(state.id) for name, state in ends.items()}
        assert _down(bench, ends, away=True) == set()


@pytest.mark.parametrize("dockerd", [()], ids=["plain"], indirect=True)
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_worker_that_starts_after_the_engine_runs_programs(dockerd: Dockerd, how: signal.Signals) -> None:
    """The engine's first answer on a volume that it had before its own start leaves out the labels."""
    with _bench(dockerd) as bench:
        assert bench.run("exit 3").state.exit_code == 3
        given = given_id(bench.engine._client)
    dockerd.stop(how)
    dockerd.start()
    with _bench(dockerd) as bench:
        assert bench.run("exit 3").state.exit_code == 3
        assert given_id(bench.engine._client) == given


@pytest.mark.parametrize("dockerd", [("--live-restore",)], ids=["live-restore"], indirect=True)
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_out_of_a_program_that_outlived_its_engine_is_whole_or_lost_but_never_empty(
    dockerd: Dockerd, how: signal.Signals
) -> None:
    """Some versions forget at their start what is mounted, and would mount an empty folder in its place."""
    with _bench(dockerd) as bench:
        empty = bench.plan("true", out=True)
        bench.run_plan(empty)
        assert b"".join(bench.engine.archive(empty.name)).startswith(b"out/")
        plan = bench.plan("echo kept > /out/a; sleep 1000", out=True)
        container = bench.engine.create(plan).id
        bench.engine.start(container)
        until(lambda: b"out/a" in b"".join(bench.engine.archive(plan.name)))
        dockerd.stop(how)
        dockerd.start()
        assert bench.engine.inspect(container).phase is Phase.RUNNING
        bench.engine.stop(container, 0)
        with suppress(ContainerMissing):
            assert b"out/a" in b"".join(bench.engine.archive(plan.name))
        bench.remove(plan)
        dockerd.stop()
        dockerd.start()
        bench.remove(plan)  # as a later sweep does
        with closing(docker.DockerClient(base_url=dockerd.host, version="1.41")) as ours:
            assert not ours.volumes.list(filters={"label": f"{LABEL}={plan.name}"})
