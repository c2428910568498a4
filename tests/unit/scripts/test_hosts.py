"""The page of hosts says held only of what ran and passed, and names everything else."""

from pathlib import Path

import pytest
from attrs import evolve

from scripts import hosts
from scripts.hosts import (
    CONTRACT,
    FACTS,
    FAILED,
    FRESH,
    PASSED,
    PLAN,
    PROMISES,
    REST,
    SKIPPED,
    Case,
    Part,
    all_held,
    cases_of,
    made,
    reported,
    typed,
)

ENGINE = "tests.contract.engine.test_"
REPORT = """<testsuites><testsuite>
<testcase classname="tests.contract.engine.test_engine_out" name="test_a[real]"><properties>
<property name="host: memory of true" value="7.2 MiB"/><property name="program: exit 3" value="failed exit 3"/>
</properties></testcase>
<testcase classname="tests.contract.engine.test_engine_out" name="test_b">
<failure message="assert 1 == 2&#10;more">long</failure></testcase>
<testcase classname="tests.contract.engine.test_engine_out" name="test_c"><skipped message="no engine"/></testcase>
<testcase classname="tests.contract.engine.test_engine_out" name="test_d"/>
<testcase classname="tests.contract.engine.test_engine_out" name="test_d"><error message="failed on teardown"/></testcase>
</testsuite></testsuites>"""


def _whole() -> list[Part]:
    """A run in which every promise was held everywhere."""
    parts = []
    for host, names in PLAN.items():
        for name in names:
            modules = [module for promise in PROMISES if promise.part == name for module in promise.modules or ["tests.other"]]
            parts.append(Part(host, name, 0, [Case(name, module, "test_it", PASSED) for module in modules]))
    return parts


def _with(part: Part) -> list[Part]:
    return [part if (each.host, each.name) == (part.host, part.name) else each for each in _whole()]


def _contract(*outcomes: str, status: int = 1) -> list[Part]:
    """A run whose contract part on Debian 13 has the outcomes for /out, and is else as it should be."""
    whole = next(part for part in _whole() if (part.host, part.name) == ("trixie", CONTRACT))
    others = [case for case in whole.cases if case.module not in {f"{ENGINE}engine_out", f"{ENGINE}engine_files"}]
    cases = [Case(CONTRACT, f"{ENGINE}engine_out", f"test_{at}", outcome, "why") for at, outcome in enumerate(outcomes)]
    return _with(evolve(whole, status=status, cases=others + cases))


def _cell(parts: list[Part], promise: str, host: str = "trixie") -> str:
    (row,) = [line for line in made(parts).splitlines() if line.startswith(f"| {promise}")]
    return row.strip("| ").split(" | ")[1 + list(PLAN).index(host)]


def test_a_promise_is_held_where_all_of_its_tests_passed() -> None:
    """On every host of the plan, and nothing else is on the page."""
    assert all_held(_whole())
    page = made(_whole())
    assert page.startswith(hosts.HEAD)
    assert "not held" not in page
    assert "did not run" not in page
    assert _cell(_whole(), "files left in /out") == "held, 2 of 2"


@pytest.mark.parametrize("outcome", [FAILED, SKIPPED])
def test_a_test_that_did_not_pass_is_counted_and_named(outcome: str) -> None:
    """A skip as well as a failure; the other promises of the same run stay held."""
    parts = _contract(PASSED, outcome)
    assert not all_held(parts)
    assert _cell(parts, "files left in /out") == f"**not held**, 1 of 2: 1 {outcome}"
    assert f"- {outcome}: `test_engine_out::test_1`: why" in made(parts)
    assert _cell(parts, "network") == "held, 1 of 1"
    assert "**not held**" not in _cell(parts, "files left in /out", "forky")


def test_a_promise_whose_tests_are_missing_did_not_run() -> None:
    """Though its part ran and passed."""
    parts = _with(Part("trixie", CONTRACT, 0, [Case(CONTRACT, f"{ENGINE}verdicts", "test_it", PASSED)]))
    assert _cell(parts, "network") == "**did not run**"
    assert not all_held(parts)


def test_a_part_that_did_not_run_is_never_held() -> None:
    """As where its machine did not come up."""
    parts = [part for part in _whole() if (part.host, part.name) != ("forky", "abuse")]
    assert _cell(parts, "isolation", "forky") == "**did not run**"
    assert not all_held(parts)
    assert not all_held([])


@pytest.mark.parametrize("status", [1, 2, 3, 70, 255, -9])
def test_a_run_that_ended_early_holds_nothing(status: int) -> None:
    """Though all of its tests that are known passed: an exit status of 1 needs a test that accounts for it."""
    parts = _contract(PASSED, status=status)
    assert _cell(parts, "network") == "**not held**, 1 of 1: the run ended early"
    assert not all_held(parts)


def test_what_is_not_planned_on_a_host_is_no_failure() -> None:
    """It is a dash there, not held."""
    assert _cell(_whole(), "isolation", "trixie-cgroupfs") == "-"


def test_the_commands_of_a_fresh_machine_count_each() -> None:
    """One that was left out did not run."""
    parts = _with(Part("trixie", FRESH, 0, [Case(FRESH, "make demo", "", PASSED)]))
    assert _cell(parts, "`make demo`") == "held, 1 of 1"
    assert _cell(parts, "`make test`") == "**did not run**"
    assert not all_held(parts)


def test_a_test_that_no_promise_names_is_not_lost() -> None:
    """It has a row where there is one, and no empty row else."""
    assert "all else" in made(_with(Part("trixie", CONTRACT, 0, [Case(CONTRACT, f"{ENGINE}new", "test_it", PASSED)])))
    named = [evolve(part, cases=[case for case in part.cases if case.module != "tests.other"]) for part in _whole()]
    assert "all else" not in made(named)
    assert REST in PROMISES


def test_a_report_is_read_with_the_worst_of_each_test() -> None:
    """A test whose end failed is there twice."""
    assert [(case.name, case.outcome, case.reason) for case in cases_of(REPORT, CONTRACT)] == [
        ("test_a[real]", PASSED, ""),
        ("test_b", FAILED, "assert 1 == 2\nmore"),
        ("test_c", SKIPPED, "no engine"),
        ("test_d", FAILED, "failed on teardown"),
    ]


def _noted(folder: Path, *parts: Part) -> Path:
    results = folder / "hosts.jsonl"
    for part in parts:
        hosts.note(results, part)
    return results


def test_a_page_is_made_from_what_was_noted(tmp_path: Path) -> None:
    """Facts, figures, reports and commands are on the page, which is written though the promises were not held."""
    results = _noted(
        tmp_path,
        Part("trixie", FACTS, 0, facts={"kernel": "6.12.1", "engine": "26.1.5"}),
        reported("trixie", CONTRACT, 1, "abc", REPORT),
        typed("trixie", {"make demo": 0, "make test": 2}, "abc", 1),
    )
    page = tmp_path / "hosts.md"
    assert hosts.main(results, page) == 1
    text = page.read_text()
    assert "| kernel | **unknown** | 6.12.1 |" in text
    assert "| memory of true | - | 7.2 MiB |" in text
    assert "- `exit 3`\n  - Debian 13: `failed exit 3`\n" in text
    assert "**not held**, 1 of 4: 2 failed, 1 skipped" in text
    assert "- failed: `test_engine_out::test_b`: assert 1 == 2" in text
    assert "- failed: `make test`: its exit status is 2" in text
    assert "\nmore" not in text


def test_what_was_noted_is_read_as_it_was(tmp_path: Path) -> None:
    """But for the names of tests that passed. The page says the same."""
    whole = [*_whole(), Part("forky", FACTS, 0, facts={"kernel": "7.2"})]
    read = hosts.read(_noted(tmp_path, *whole))
    assert made(read) == made(whole)
    assert all_held(read)
    assert hosts.read(tmp_path / "nothing") == []


def test_a_run_that_went_on_tells_what_each_part_tested(tmp_path: Path) -> None:
    """The last run of a part counts; what passed does not run again."""
    results = _noted(
        tmp_path,
        Part("trixie", FACTS, 0, facts={"kernel": "6.12.1"}),
        Part("trixie", CONTRACT, 0, commit="old"),
        typed("trixie", {"make demo": 2}, "old", 1),
        Part("forky", CONTRACT, 1, commit="old"),
        typed("trixie", {"make demo": 0}, "new", 0),
    )
    assert hosts.passed(results) >= {("trixie", CONTRACT), ("trixie", FRESH)}
    assert ("forky", CONTRACT) not in hosts.passed(results)
    hosts.main(results, tmp_path / "hosts.md")
    text = (tmp_path / "hosts.md").read_text()
    assert "| commit tested | **unknown** | old (contract), new (fresh) | old | **unknown** |" in text
    assert "its exit status is 2" not in text
