"""What the doctor makes of answers and errors, without any server."""

from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.doctor.finding import Unfit, at_least, clock, look, reason
from orchestrator.urls import place


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (
            "localhost:1: [Errno 111] Connection refused (configured timeouts: connectTimeoutMS: 3000.0ms), Timeout: 5s",
            "Connection refused",
        ),
        (
            "HTTPConnectionPool(host='a', port=1): Max retries (Caused by E('x: [Errno -2] Name or service not known'))",
            "Name or service not known",
        ),
        ("Authentication failed., full error: {'ok': 0.0}", "Authentication failed."),
        ("two\n  lines", "two lines"),
        ("", "Unfit"),
    ],
)
def test_an_error_is_cut_down_to_the_words_that_matter(said: str, words: str) -> None:
    """Libraries print half of their state."""
    assert reason(Unfit(said)) == words


def test_a_check_that_fails_as_expected_becomes_a_finding_and_any_other_error_does_not() -> None:
    """A bug of the doctor must not look like an illness."""

    def fail() -> str:
        raise KeyError("away")

    found = look("Redis", "start it", fail, KeyError)
    assert (found.ok, found.found, found.advice) == (False, "'away'", "start it")
    with pytest.raises(KeyError):
        look("Redis", "start it", fail, ValueError)


@pytest.mark.parametrize(
    ("version", "ok"), [("4.4", True), ("8.2.11", True), ("10.0.0-rc1", True), ("4.2.9", False), ("", False)]
)
def test_versions_are_compared_as_numbers(version: str, *, ok: bool) -> None:
    """10 is more than 9."""
    assert look("it", "", lambda: at_least(version, (4, 4))).ok is ok


@pytest.mark.parametrize(("ahead", "ok"), [(0.0, True), (1.5, True), (-1.5, True), (3.0, False), (-3600.0, False)])
def test_a_clock_may_be_two_seconds_off(ahead: float, *, ok: bool) -> None:
    """More, and the times in a history are out of order."""
    found = clock("Redis", lambda: datetime.now(UTC) + timedelta(seconds=ahead))
    assert found.ok is ok


@pytest.mark.parametrize(
    ("url", "where"),
    [
        ("mongodb://user:p%40ss@a:1,b:2/db?x=y", "a:1,b:2"),
        ("redis://:secret@host:6379/0", "host:6379"),
        ("redis://host", "host"),
        ("unix:///run/redis.sock?password=secret", "/run/redis.sock"),
        ("mongodb://user:odd@secret@host", "host"),
    ],
)
def test_a_place_is_named_without_its_secrets(url: str, where: str) -> None:
    """It is printed, logged and pasted into reports."""
    assert place(url) == where
