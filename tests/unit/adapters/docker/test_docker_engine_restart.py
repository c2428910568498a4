"""What tells whether an engine went down: when it was started, and what it says of the program's end."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest
from attrs import field, frozen

from orchestrator.adapters.docker import engine_restart as docker_deaths
from orchestrator.errors import InfrastructureError
from orchestrator.ports import ContainerState, Phase
from tests.unit.adapters.docker.engine_stub import NEVER, NOW, Script, Stage, container, refuses, says

BRIDGE, INFO = "GET /networks/bridge", "GET /info"
BEGAN = datetime(2030, 5, 17, 11, tzinfo=UTC)
ENDED = BEGAN + timedelta(minutes=10)
LONG_AGO, BETWEEN, LATER = BEGAN - timedelta(hours=1), BEGAN + timedelta(minutes=5), ENDED + timedelta(minutes=5)
CODES = (0, 1, 137, 143, 255)


@frozen
class Starts:
    """When the engine's bridge was made, its process was started, and its machine was, where that can be told."""

    bridge: datetime | None = None
    process: datetime | None = None
    machine: datetime = LONG_AGO
    keeps: bool = field(default=False, kw_only=True)

    @property
    def script(self) -> Script:
        """What the engine answers."""
        bridge = refuses(404, "no such network") if self.bridge is None else says(200, {"Created": self.bridge.isoformat()})
        return {BRIDGE: bridge, INFO: says(200, {"LiveRestoreEnabled": self.keeps, "SystemTime": NOW})}


def ended(code: int, at: datetime | None = ENDED) -> ContainerState:
    """A container that has exited."""
    return ContainerState("c1", Phase.EXITED, LATER, exit_code=code, started_at=BEGAN, finished_at=at)


def taken_down(stage: Stage, patch: pytest.MonkeyPatch, starts: Starts, *, away: bool = False) -> set[int]:
    """The exit codes with which an end counts as the engine's doing."""
    patch.setattr(docker_deaths, "engine_started", lambda _: starts.process)
    patch.setattr(docker_deaths, "machine_started", lambda: starts.machine)
    _, engine = stage(starts.script)
    return {code for code in CODES if engine.took_down(ended(code), away=away)}


@pytest.mark.parametrize("away", [False, True])
@pytest.mark.parametrize(
    "starts",
    [
        Starts(bridge=LONG_AGO),
        Starts(process=LONG_AGO),
        Starts(bridge=LONG_AGO, process=LATER),  # the clock was set since, forwards
        Starts(bridge=LATER, process=LONG_AGO),  # and backwards
        Starts(bridge=LATER, machine=LONG_AGO, keeps=True),
    ],
)
def test_an_engine_that_was_there_before_the_program_took_nothing_down(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, starts: Starts, *, away: bool
) -> None:
    """However the program ended: any of the things that tell of the engine's start will do."""
    assert taken_down(stage, monkeypatch, starts, away=away) == set()


AFTER: Mapping[str, Starts] = {
    "by its bridge": Starts(bridge=LATER),
    "by its process": Starts(process=LATER),
    "by both": Starts(bridge=LATER, process=LATER),
    "with its machine, and it keeps programs": Starts(bridge=LATER, machine=LATER, keeps=True),
}


@pytest.mark.parametrize("starts", AFTER.values(), ids=AFTER.keys())
def test_an_end_that_an_earlier_engine_saw_is_its_doing_only_if_a_shutdown_explains_it(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, starts: Starts
) -> None:
    """A program that exited 0 has finished; one that exited otherwise, not as by a signal of a shutdown, failed by itself."""
    assert taken_down(stage, monkeypatch, starts) == {137, 143, 255}


@pytest.mark.parametrize("starts", AFTER.values(), ids=AFTER.keys())
def test_who_found_the_engine_away_while_the_program_ran_knows_more(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, starts: Starts
) -> None:
    """A program that traps TERM exits as it likes."""
    assert taken_down(stage, monkeypatch, starts, away=True) == {1, 137, 143, 255}


@pytest.mark.parametrize(
    "starts",
    [Starts(LATER, BETWEEN), Starts(None, BETWEEN), Starts(LATER, None, BETWEEN), Starts(LATER, None, BETWEEN, keeps=True)],
)
def test_an_end_that_only_the_next_engine_noted_is_no_exit(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, starts: Starts
) -> None:
    """It ended what it found, or made the exit code up: some say 0 of a program with which the machine lost its power."""
    assert taken_down(stage, monkeypatch, starts) == {*CODES}


@pytest.mark.parametrize(("away", "down"), [(False, set()), (True, {137, 143, 255})])
def test_where_nothing_tells_when_the_engine_was_started_only_an_outage_explains_a_signal(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, *, away: bool, down: set[int]
) -> None:
    """An exit that nothing explains is final."""
    assert taken_down(stage, monkeypatch, Starts(), away=away) == down


def test_an_end_of_which_the_engine_has_no_time_was_not_the_programs(stage: Stage) -> None:
    """Some engines say that a program exited with 0 when the machine went down with it."""
    _, engine = stage(Starts(bridge=LONG_AGO).script)
    assert engine.took_down(ended(0, None), away=False)


def test_a_program_that_was_never_started_was_not_taken_down(stage: Stage) -> None:
    """The engine could not run it."""
    stub, engine = stage({**Starts(bridge=LATER).script, "GET /containers/c1/json": container("exited", StartedAt=NEVER)})
    assert not engine.took_down(engine.inspect("c1"), away=True)
    assert stub.calls.count(BRIDGE) == 1


def test_an_engine_that_is_going_down_does_not_answer(stage: Stage) -> None:
    """It takes no new connection, though it goes on to serve those it has: so a new one is made."""
    stub, engine = stage({**Starts(bridge=LONG_AGO).script, "GET /containers/c1/json": container("exited")})
    engine.inspect("c1")
    stub.stop_listening()
    with pytest.raises(InfrastructureError):
        engine.took_down(ended(143), away=False)
