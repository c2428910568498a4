"""The result of a check. It knows no server."""

import re
from collections.abc import Callable
from datetime import UTC, datetime

from attrs import frozen

from orchestrator.errors import OrchestratorError

_SYSTEM_ERROR = re.compile(r"\[Errno -?\d+\] ([\w ]+)")
_STATE = re.compile(r", full error: |, Timeout: | \(configured timeouts: ")
SKEW = 2.0
"""Seconds by which a server's clock may differ from this host's."""


@frozen
class Finding:
    """One line of the report. ``advice`` says what to do if it is not ok."""

    check: str
    ok: bool
    found: str
    advice: str = ""


class Unfit(Exception):
    """The result is not sufficient; the message names it."""


def look(check: str, advice: str, ask: Callable[[], str], *failures: type[Exception]) -> Finding:
    """Ask, and put the answer, or the reason for its absence, into a finding. ``failures`` are the errors of the library."""
    known: tuple[type[Exception], ...] = (Unfit, OrchestratorError, *failures)
    try:
        return Finding(check, True, ask())
    except known as error:
        return Finding(check, False, reason(error), advice)


def reason(error: Exception) -> str:
    """The message of an error, in one line: libraries put much of their state around the important words."""
    text = " ".join(str(error).split()) or type(error).__name__
    refused = _SYSTEM_ERROR.search(text)
    return refused[1].strip() if refused else _STATE.split(text)[0]


def at_least(version: str, lowest: tuple[int, int]) -> str:
    """The version. Raises Unfit if it is lower."""
    numbers = [int(part) for part in version.split(".")[:2] if part.isdecimal()]
    if tuple(numbers) < lowest:
        raise Unfit(f"{version} is older than {lowest[0]}.{lowest[1]}")
    return version


def clock(check: str, read: Callable[[], datetime], *failures: type[Exception]) -> Finding:
    """Compare a server's clock with this host's. The error of the comparison is half of the round trip."""

    def ask() -> str:
        before = datetime.now(UTC)
        theirs = read()
        round_trip = (datetime.now(UTC) - before).total_seconds()
        ahead = (theirs - before).total_seconds() - round_trip / 2
        if abs(ahead) > SKEW + round_trip / 2:
            raise Unfit(f"{ahead:+.1f} s from this host's clock")
        return f"{ahead:+.2f} s from this host's"

    return look(f"{check} clock", "run a time service such as chrony on both hosts", ask, *failures)
