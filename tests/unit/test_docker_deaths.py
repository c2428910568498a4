"""What an engine's memory of events says of the end of a program."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from orchestrator.errors import InfrastructureError
from orchestrator.ports import ContainerState, Phase
from tests.support.engine_stub import NOW, Answer, Stage, container, says, streams

EVENTS, INFO = "GET /events", "GET /info"
END = datetime(2030, 5, 17, 11, tzinfo=UTC)
EARLIER, LATER = END.timestamp() - 60, END.timestamp() + 60


def remembers(actions: Sequence[str], at: float = LATER) -> Answer:
    """A stream of events."""
    return streams(*(json.dumps({"Action": action, "timeNano": round(at * 1e9)}).encode() + b"\n" for action in actions))


def ended(code: int, at: datetime | None = END) -> ContainerState:
    """A container that has exited."""
    return ContainerState("c1", Phase.EXITED, END, exit_code=code, started_at=END, finished_at=at)


def info(*, live_restore: bool) -> Answer:
    """What the engine says of itself."""
    return says(200, {"ID": "engine", "SystemTime": NOW, "LiveRestoreEnabled": live_restore})


@pytest.mark.parametrize("own", [["start", "die"], ["start", "kill", "die"], ["die"]])
@pytest.mark.parametrize("code", [0, 137, 143])
def test_an_engine_that_saw_the_end_took_nothing_down(stage: Stage, own: list[str], code: int) -> None:
    """It was there; one that has forgotten the start of a long program is asked for no more."""
    stub, engine = stage({EVENTS: remembers(own), INFO: info(live_restore=False)})
    assert not engine.took_down(ended(code))
    assert stub.calls.count(EVENTS) == 1


FEW, MANY = ["create"], ["create"] * 256


@pytest.mark.parametrize(
    ("own", "memory", "down"),
    [
        ([], remembers([]), True),  # it was stopped, and has come up since
        ([], remembers(FEW), True),
        (["kill", "die"], remembers(FEW), True),  # it was killed, and ended at its start what it did not start
        (["kill", "die"], remembers(MANY), False),  # it has forgotten the start, and somebody stopped the container
        ([], remembers(MANY, EARLIER), True),  # it remembers more than the end, but not the end
    ],
)
@pytest.mark.parametrize("code", [0, 1, 137, 143, 255])
def test_an_engine_that_came_up_later_took_its_programs_down(
    stage: Stage, own: list[str], memory: Answer, code: int, *, down: bool
) -> None:
    """Whatever they made of their TERM."""
    _, engine = stage({EVENTS: [remembers(own), memory], INFO: info(live_restore=False)})
    assert engine.took_down(ended(code)) is down


@pytest.mark.parametrize(("code", "down"), [(0, False), (1, False), (137, True), (143, True), (255, True)])
@pytest.mark.parametrize(("live_restore", "memory"), [(True, FEW), (False, MANY)], ids=["keeps", "forgot"])
def test_where_the_engine_cannot_tell_the_exit_code_does(
    stage: Stage, memory: list[str], code: int, *, live_restore: bool, down: bool
) -> None:
    """An engine that keeps programs alive took none down unless its machine did; a busy one forgets the end."""
    _, engine = stage({EVENTS: [remembers([]), remembers(memory)], INFO: info(live_restore=live_restore)})
    assert engine.took_down(ended(code)) is down


def test_an_end_of_which_the_engine_has_no_time_was_not_the_programs(stage: Stage) -> None:
    """Some engines say that a program exited with 0 when the machine went down with it."""
    _, engine = stage({EVENTS: [remembers([]), remembers(FEW)], INFO: info(live_restore=True)})
    assert engine.took_down(ended(0, None))


def test_an_engine_that_kept_the_program_did_not_take_it_down(stage: Stage) -> None:
    """Somebody stopped the container later."""
    _, engine = stage({EVENTS: [remembers(["kill", "die"]), remembers(FEW)], INFO: info(live_restore=True)})
    assert not engine.took_down(ended(143))


def test_an_engine_that_is_going_down_does_not_answer(stage: Stage) -> None:
    """It takes no new connection, though it goes on to serve those it has: so a new one is made."""
    stub, engine = stage({EVENTS: remembers(["start", "kill", "die"]), "GET /containers/c1/json": container("exited")})
    engine.inspect("c1")
    stub.stop_listening()
    with pytest.raises(InfrastructureError):
        engine.took_down(ended(143))
