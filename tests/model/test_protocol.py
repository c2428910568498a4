"""The protocol between workers holds whatever happens in whatever order, and every guard in it is needed."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test
from loguru import logger

from orchestrator.errors import InvalidTask
from tests.model.broken import BROKEN
from tests.model.protocol import protocol
from tests.support.baton import How

BOUNDED = settings(stateful_step_count=30, deadline=None, database=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Thousands of faults break no rule."""
    logger.disable("orchestrator")
    yield
    logger.enable("orchestrator")


def test_the_protocol_holds() -> None:
    """Kills, freezes, lost replies, duplicates, cancellations and outages, at any call, of several workers on two engines."""
    run_state_machine_as_test(protocol(), settings=settings(BOUNDED, max_examples=40))


@pytest.mark.parametrize(("program", "call", "nth"), [("good", "publish", 3), ("bad", "put", 2)])
def test_a_host_that_is_lost_with_a_finished_program(program: str, call: str, nth: int) -> None:
    """Its log cannot be kept whole, and the program is not run again; chance seldom leads there."""
    model: Any = protocol()()
    try:
        model.begin(program=program, which=0, call=call, nth=nth, how=How.MAKE, thaw_first=False, lost_host="a")
    finally:
        model.teardown()
    (task,) = model.site.stored
    assert "its log could not be kept whole: its engine a has not come back" in (task.message or "")


@pytest.mark.parametrize("guard", BROKEN)
def test_every_guard_is_needed(guard: str) -> None:
    """Without it the model finds a way to break an invariant."""
    found = settings(BOUNDED, max_examples=600, phases=[Phase.generate], print_blob=False)
    with pytest.raises((AssertionError, InvalidTask)):  # a history that is broken cannot even be read
        run_state_machine_as_test(seed(0)(protocol(BROKEN[guard])), settings=found)
