"""How `doctor` tells what it found."""

from collections.abc import Iterator

import pytest
from click.testing import CliRunner

from orchestrator.cli import doctor, main
from orchestrator.doctor.finding import Finding

FOUND = (
    Finding("one", True, "is well"),
    Finding("two", False, "is not", "mend it"),
    Finding("three", True, "is well, too"),
    Finding("four", False, "is not, either", "mend that"),
)


def told(monkeypatch: pytest.MonkeyPatch, *found: Finding) -> tuple[int, list[str]]:
    """The exit code and the lines, where these are the findings."""

    def examine(_: str | None) -> Iterator[Finding]:
        yield from found

    monkeypatch.setattr(doctor, "examine", examine)
    result = CliRunner().invoke(main, ["doctor"], catch_exceptions=False)
    return result.exit_code, result.stdout.splitlines()


def test_what_is_wrong_is_told_last_and_then_how_much(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that it is on the screen when the command has ended."""
    code, lines = told(monkeypatch, *FOUND)
    assert [line.split()[:2] for line in lines] == [
        ["ok", "one"],
        ["ok", "three"],
        ["FAIL", "two"],
        ["to", "do:"],
        ["FAIL", "four"],
        ["to", "do:"],
        ["4", "checks:"],
    ]
    assert (code, lines[-1]) == (1, "4 checks: 2 ok, 2 to do")


def test_where_all_is_well_the_last_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the exit code 0."""
    code, lines = told(monkeypatch, FOUND[0])
    assert (code, lines[-1]) == (0, "1 checks: 1 ok, 0 to do")
