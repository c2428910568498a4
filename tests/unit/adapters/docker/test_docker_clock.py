"""The engine's times, and its clock as it is known here."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from requests import Response

from orchestrator.adapters.docker.clock import EngineClock
from orchestrator.adapters.docker.container_state import instant

NOON = datetime(2030, 5, 17, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0001-01-01T00:00:00Z", None),
        ("2030-05-17T12:00:00Z", NOON),
        ("2030-05-17T12:00:00.5Z", NOON + timedelta(milliseconds=500)),
        ("2030-05-17T12:00:00.123456789Z", NOON + timedelta(microseconds=123456)),
        ("2030-05-17T14:00:00.000000001+02:00", NOON),
    ],
)
def test_the_engines_times_are_read(text: str, expected: datetime | None) -> None:
    """To the microsecond; the zero time stands for never."""
    assert instant(text) == expected


def _dated(moment: datetime) -> Response:
    response = Response()
    response.headers["Date"] = format_datetime(moment.replace(microsecond=0), usegmt=True)
    return response


def test_the_clock_is_asked_once_while_it_agrees_with_the_answers() -> None:
    """In between, the monotonic clock carries it on."""
    asked: list[int] = []
    ticks = iter([10.0, 10.2, 10.2, 15.0, 25.1])
    clock = EngineClock(lambda: asked.append(1) or NOON, lambda: next(ticks))
    assert clock.now() == NOON + timedelta(seconds=0.1)
    clock.heard(_dated(NOON + timedelta(seconds=4)))
    assert clock.now() == NOON + timedelta(seconds=15)
    assert len(asked) == 1


@pytest.mark.parametrize("jump", [-3600, -3, 3, 3600])
def test_the_clock_is_asked_again_when_it_jumped(jump: int) -> None:
    """An answer's date shows it, in whole seconds."""
    times = iter([NOON, NOON + timedelta(seconds=jump)])
    clock = EngineClock(lambda: next(times), lambda: 0.0)
    assert clock.now() == NOON
    clock.heard(_dated(NOON + timedelta(seconds=jump)))
    assert clock.now() == NOON + timedelta(seconds=jump)


def test_answers_without_a_date_say_nothing_about_the_clock() -> None:
    """Nor do any before it was asked."""
    clock = EngineClock(lambda: NOON, lambda: 0.0)
    clock.heard(_dated(NOON))
    assert clock.now() == NOON
    clock.heard(Response())
    assert clock.now() == NOON
