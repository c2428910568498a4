"""The pages that `make faults` and `make abuse` write are those of the suites as they are: else run the two again."""

import json
import re
from pathlib import Path

import pytest
from attrs import evolve

from scripts import reliability
from scripts.reliability import Incomplete, beginning, made
from tests.abuse.page import HEAD, INEXACT, Memory, expected, inexact, shown, write
from tests.abuse.test_abuse import PROGRAMS
from tests.support.abuse_program import Program, Ran, Seen, no_more
from tests.support.fault_rows import Row

DOCS = Path(__file__).parents[3] / "docs"


def test_the_reliability_page_has_every_row_of_the_suite() -> None:
    """And no other, below the head as it is now."""
    page = (DOCS / "reliability.md").read_text(encoding="utf-8")
    assert page.startswith(reliability.HEAD)
    rows = page.removeprefix(reliability.HEAD).splitlines()
    assert [row.name for row in Row if not any(line.startswith(beginning(row)) for line in rows)] == []
    assert len(rows) == len(Row)


def _check_isolation(page: str) -> None:
    """Whether it is of the suite as it is, whatever was measured."""
    head, _, end = page.partition("\n## Exit\n")
    assert re.fullmatch(_measured(HEAD), head)
    rows = [line for line in page.splitlines() if line.startswith("| ") and not line.startswith("| program |")]
    assert [row.split(" | ")[:2] for row in rows] == [[f"| {shown(program)}", expected(program)] for program in PROGRAMS]
    assert re.search(_measured(INEXACT) + re.escape("".join(inexact(PROGRAMS))) + r"\Z", end)


def _measured(text: str) -> str:
    return re.sub(r"\\\{\w+\\\}", ".+", re.escape(text))


def test_the_isolation_page_is_of_the_suite_as_it_is() -> None:
    """Each program and no other, with what it has to end in, and what of it is not exact."""
    _check_isolation((DOCS / "isolation.md").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def isolation_page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Made of a run in which each program ended as expected; the third made the worker grow most."""
    path = tmp_path_factory.mktemp("page") / "isolation.md"
    ran = [
        Ran(evolve(program, proof=no_more), _seen(program), 1.0, 80 << 20, (90 if number == 2 else 81) << 20)
        for number, program in enumerate(PROGRAMS)
    ]
    write(path, ran, Memory(76 << 20, 98 << 20, [5 << 20, -(1 << 19)], 40 << 20, 40 << 20, 2 << 20, 4))
    return path.read_text(encoding="utf-8")


def _seen(program: Program) -> Seen:
    verdict = {"status": program.status, "cause": program.cause, "exit_code": program.code, "evidence": {}}
    return Seen(verdict, b"", b"")


def test_the_isolation_page_says_what_was_measured(isolation_page: str) -> None:
    """Where the worker grew, and that what is run again adds nothing."""
    _check_isolation(isolation_page)
    assert "76 MiB before, 98 MiB after" in isolation_page
    assert f"grew most, by 10 MiB, while one program ran and others beside it: {PROGRAMS[2].name}." in isolation_page
    assert "it changed by +5.0, -0.5 MiB, round by round" in isolation_page


@pytest.mark.parametrize(
    ("now", "once"),
    [
        ("| failed oom 137; oom in the evidence |", "| failed oom 137 |"),
        ("ended_by is unknown.", "ended_by is program."),
        ("| exit 3 |", "| exit 4 |"),
        ("others flooding it", "others beside it"),
        ("round by round.", "round by round. And more."),
    ],
)
def test_an_isolation_page_of_another_suite_is_told(isolation_page: str, now: str, once: str) -> None:
    """Whatever of it has changed since."""
    assert now in isolation_page
    with pytest.raises(AssertionError):
        _check_isolation(isolation_page.replace(now, once))


def test_the_rows_are_of_every_fault() -> None:
    """From 1 to 22 or further, none left out, in order."""
    numbers = sorted({row.number for row in Row})
    assert numbers[-1] >= 22
    assert numbers == list(range(1, numbers[-1] + 1))
    assert [row.number for row in Row] == sorted(row.number for row in Row)


def _noted(**changes: object) -> list[dict[str, object]]:
    """What one whole run notes, the first line changed."""
    measured = {"held": "I1-I6", "seconds": [1.0, 3.0], "runs": 2, "detail": "", "reason": "", "long": True}
    lines = [{"row": row.name, **measured} for row in Row]
    return [{**lines[0], **changes}, *lines[1:]]


def test_a_row_tells_what_was_measured() -> None:
    """Runs, invariants and seconds; or why it was not run."""
    (first,) = re.findall(r"^\| 1 \| .*program that succeeds.*$", made(_noted(detail="why", held="I1-I5")), re.MULTILINE)
    assert first.endswith("that succeeds; why | 1 | 2 | I1-I5 | 2.0 | 3.0 | kill to claim |")
    assert "that succeeds | 1 | not run: no library | - | - | - | - |" in made(
        _noted(runs=0, seconds=[], held="", reason="no library")
    )


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        (_noted()[1:], "not noted: KILL_SUCCEEDS$"),
        ([*_noted(), _noted()[0]], "more than once: KILL_SUCCEEDS$"),
        (_noted(long=False), "short form: KILL_SUCCEEDS$"),
        ([*_noted(), {**_noted()[0], "row": "GONE"}], "no rows of .*: GONE$"),
    ],
    ids=["missing", "double", "short", "unknown"],
)
def test_a_page_is_not_made_of_anything_but_one_whole_run(lines: list[dict[str, object]], complaint: str) -> None:
    """What is wrong is named."""
    with pytest.raises(Incomplete, match=complaint):
        made(lines)


def test_a_page_that_cannot_be_made_is_left_as_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And the command fails."""
    results, page = tmp_path / "results", tmp_path / "page.md"
    page.write_text("old")
    results.write_text("")
    assert reliability.main(results, page) == 1
    assert page.read_text() == "old"
    assert "not noted: KILL_SUCCEEDS" in capsys.readouterr().err
    results.write_text("\n".join(json.dumps(line) for line in _noted()))
    assert reliability.main(results, page) == 0
    assert page.read_text() == made(_noted())
