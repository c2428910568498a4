"""The parts of `make programs` that need no engine: the search for the least limits, the verdicts, the page."""

import re
from pathlib import Path

import pytest
from attrs import evolve

from scripts.program_images import dockerfile, said_last
from scripts.program_limits import LADDERS, ROOMY, Limits, least, tight
from scripts.program_page import FAULT, HEAD, Row, differs, line, page, shown
from scripts.program_runs import Result, judged
from scripts.program_table import NOT_RUN, PROGRAMS, Program
from scripts.programs import patience

DOCS = Path(__file__).parents[3] / "docs"
PROGRAM = Program("p", "says | hello", ("p",), "hello", ("a", "b"))
PASSED, FAILED = Result(True, 1.25), Result(False, 2.0, "exit 1: no <room>")


@pytest.mark.parametrize("ladder", LADDERS.values(), ids=LADDERS)
def test_the_least_limit_is_found_in_few_steps(ladder: list[int]) -> None:
    """Whichever of them it is; a ladder rises."""
    assert ladder == sorted(set(ladder))
    for needed in ladder:
        tried: list[int] = []

        def passes(value: int, needed: int = needed, tried: list[int] = tried) -> bool:
            tried.append(value)
            return value >= needed

        assert least(ladder, passes) == needed
        assert len(tried) <= 5


def test_each_limit_is_lowered_while_the_others_are_roomy() -> None:
    """Else a program that lacks memory would seem to lack processes."""
    asked: list[Limits] = []

    def passes(limits: Limits) -> bool:
        asked.append(limits)
        return limits["pids"] != 1 and int(limits["memory"]) >= 48 << 20

    assert tight(passes) == {"memory": 48 << 20, "pids": 2, "tmp": 4096}
    assert max(sum(limits[name] != ROOMY[name] for name in ROOMY) for limits in asked) == 1


@pytest.mark.parametrize(
    ("failure", "out", "errors", "result"),
    [
        ("", "so\nhello \n\n", "a warning\n", Result(True, 1.0)),
        ("", "hello\nso\n", "", Result(False, 1.0, "wrong output: so")),
        ("exit 1", "hello\n", "why\nnot\n", Result(False, 1.0, "exit 1: not")),
        ("exit 1", "hello\n", "", Result(False, 1.0, "exit 1: hello")),
        ("exit 137", "", "\n", Result(False, 1.0, "exit 137: no output")),
    ],
)
def test_a_run_passes_by_its_exit_and_its_last_line(failure: str, out: str, errors: str, result: Result) -> None:
    """The reason of a failure is what was said last."""
    assert judged(PROGRAM, 1.0, failure, out, errors) == result


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (Row(PROGRAM, docker=PASSED, task=PASSED), "nothing"),
        (Row(PROGRAM, docker=PASSED, task=FAILED, roomy=FAILED), FAULT),
        (Row(PROGRAM, docker=FAILED, executable=PASSED, task=FAILED, roomy=FAILED), FAULT),
        (Row(PROGRAM, docker=PASSED, task=FAILED, roomy=PASSED), "needs more than the default limits"),
        (Row(PROGRAM, docker=FAILED, executable=PASSED, task=PASSED), "docker run needs `--tmpfs /tmp:exec`"),
        (Row(PROGRAM, docker=FAILED, executable=FAILED, task=PASSED), "passes only as a task"),
        (Row(PROGRAM, docker=FAILED, executable=FAILED, task=FAILED, roomy=FAILED), "passes neither way"),
    ],
)
def test_what_differs_is_told(row: Row, words: str) -> None:
    """Only what works with docker run and never as a task is a fault."""
    assert differs(row) == words
    assert row.is_fault == (words == FAULT)


def test_a_row_has_both_results_and_the_limits() -> None:
    """And nothing in it breaks the table."""
    row = Row(PROGRAM, size=150_400_000, docker=PASSED, task=FAILED, roomy=PASSED, least={"memory": 48 << 20, "pids": 2})
    assert line(evolve(row, together=PASSED)) == (
        "| p | says \\| hello | a b, 150 MB | passed, 1.2 s | exit 1: no &lt;room>, 2.0 s; roomy: passed, 1.2 s"
        " | memory 48 MiB, pids 2 | passed, 1.2 s | needs more than the default limits |\n"
    )


def test_the_page_counts_what_passed_and_says_what_did_not_run() -> None:
    """Each with its reason."""
    rows = [
        Row(PROGRAM, docker=PASSED, task=PASSED),
        Row(PROGRAM, docker=PASSED, task=FAILED, roomy=FAILED),
        Row(PROGRAM, docker=PASSED, task=FAILED, roomy=PASSED),
        Row(evolve(PROGRAM, name="q"), missing="no such package"),
    ]
    text = page(rows, "Docker 1", 2, {"memory": 256 << 20, "pids": 128})
    assert "on\nDocker 1, 2 CPUs." in text
    assert "3 programs ran: 3 passed with docker run, 1 as a task with the default limits, 2 as a task" in text
    assert "Faults: 1." in text
    assert [line in text for line in ("| q | no such package |\n", *(f"| {name} | " for name in NOT_RUN))] == [True] * 3


def test_an_image_has_its_packages_before_its_files() -> None:
    """So that another program does not fetch them again; without packages nothing is installed."""
    lines = dockerfile(PROGRAM).splitlines()
    assert "--no-install-recommends a b &&" in lines[1]
    assert lines[2] == "COPY program /program"
    assert dockerfile(evolve(PROGRAM, packages=())).splitlines() == [lines[0], lines[2]]


def test_a_build_that_fails_says_why() -> None:
    """By what its step wrote last, in no colour."""
    log = [{"stream": "fetching\n"}, {"stream": "\x1b[91mE: Unable to locate package b\n\x1b[0m"}, {"error": "code 100"}]
    assert said_last(log) == "E: Unable to locate package b"


def test_a_search_waits_as_long_as_the_program_may_need() -> None:
    """Longer for one that takes long."""
    assert patience(Row(PROGRAM, task=Result(True, 4.0))) == "30s"
    assert patience(Row(PROGRAM, task=Result(False, 60.0), roomy=Result(True, 8.0))) == "50s"


def test_limits_are_told_with_their_units() -> None:
    """Sizes and seconds; processes are a number."""
    assert shown({"cpus": 1.0, "memory": 256 << 20, "pids": 128, "timeout": 60.0}) == (
        "cpus 1, memory 256 MiB, pids 128, timeout 60 s"
    )


def test_the_page_is_of_the_programs_as_they_are() -> None:
    """Each is on it, in the table or among those that did not run: else run `make programs`."""
    text = (DOCS / "programs.md").read_text(encoding="utf-8")
    assert re.match(re.sub(r"\\\{\w+\\\}", "(?s:.+)", re.escape(HEAD)), text)
    table, _, missing = text.partition("\n## What did not run\n")
    names = [
        row.split(" | ")[0].removeprefix("| ") for part in (table, missing) for row in part.splitlines() if row[:2] == "| "
    ]
    assert sorted(name for name in names if name != "program") == sorted([*NOT_RUN, *(each.name for each in PROGRAMS)])
