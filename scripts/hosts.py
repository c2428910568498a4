"""Write docs/hosts.md from the results of the long form on machines: ``python -m scripts.hosts RESULTS PAGE``.

RESULTS has a line for each part on each host, as ``scripts/machines_test.py`` notes it when the part ends: how many tests of
each module passed, and by name what failed or was skipped. A promise counts as held on a host only where every test of it ran
there and passed. What failed, was skipped or did not run is on the page, by name. A test's property whose name begins with
``host:`` is a figure, one with ``program:`` what was told of a program.
"""

import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self
from xml.etree import ElementTree as ET

from attrs import asdict, field, frozen

CONTRACT, SYSTEMD, WORKER, ABUSE, FAULTS, FRESH = "contract", "systemd", "worker", "abuse", "faults", "fresh"
FACTS = "facts"
ALL = (CONTRACT, SYSTEMD, WORKER, ABUSE, FAULTS, FRESH)
PLAN: Mapping[str, Sequence[str]] = {"bookworm": ALL, "trixie": ALL, "forky": ALL, "trixie-cgroupfs": (CONTRACT,)}
"""Host → the parts of the long form that run there."""
TITLES = {
    "bookworm": "Debian 12",
    "trixie": "Debian 13",
    "forky": "Debian testing",
    "trixie-cgroupfs": "Debian 13, driver cgroupfs",
}
FIGURE = "host:"
PROGRAM = "program:"
PASSED, SKIPPED, FAILED = "passed", "skipped", "failed"
_WORST = (PASSED, SKIPPED, FAILED)
_TESTS_FAILED = 1
"""Pytest's exit status when the tests ran to their end and some failed."""
_FACTS = {
    "system": "system",
    "kernel": "kernel",
    "engine": "Docker",
    "runc": "runc",
    "cgroup": "control groups",
    "driver": "cgroup driver",
    "python": "Python",
}


@frozen
class Promise:
    """Something that the project promises, and the tests that show it: those of some modules of a part.

    Without modules it has all tests of its part that no other promise names.
    """

    name: str
    part: str
    modules: Sequence[str] = ()


def _engine(*names: str) -> list[str]:
    return [f"tests.contract.engine.test_{name}" for name in names]


REST = Promise("all else that is asked of an engine", CONTRACT)
PROMISES = (
    Promise("the verdict on every ending", CONTRACT, _engine("verdicts", "engine")),
    Promise("exact figures", CONTRACT, _engine("engine_counts", "engine_footprint")),
    Promise("files left in /out", CONTRACT, _engine("engine_out", "engine_files")),
    Promise("the least memory", CONTRACT, _engine("engine_memory_floor")),
    Promise("limits and the sandbox", CONTRACT, _engine("engine_sandbox")),
    Promise("output, byte by byte", CONTRACT, _engine("engine_output")),
    Promise("images", CONTRACT, _engine("engine_images", "engine_pull")),
    Promise("network", CONTRACT, _engine("engine_network")),
    Promise("doctor", CONTRACT, _engine("doctor_isolation")),
    REST,
    Promise("slices of systemd: reloads, restarts, users, containers", SYSTEMD),
    Promise("tasks through a worker, also one in a container", WORKER),
    Promise("isolation: hostile programs", ABUSE),
    Promise("reliability: faults, the short form", FAULTS),
    Promise("`make demo` on a fresh machine", FRESH, ["make demo"]),
    Promise("`make test` on a fresh machine", FRESH, ["make test"]),
)
HEAD = """<!-- Made by `make machines-test`; edits here are lost. -->

# Hosts

On which hosts the promises were seen to hold, and on which not. Made by `make machines-test`: real Debian machines, booted
under qemu, each with systemd, cgroup v2 and its own Docker engine. What the tests of a promise ask for is the same on every
host, or the other right value of that host. Only where all of them ran and passed does the promise count as held.

"""


@frozen
class Case:
    """One test on one host, and how it ended."""

    part: str
    module: str
    name: str
    outcome: str
    reason: str = ""


@frozen
class Part:
    """A part of the run on one host."""

    host: str
    name: str
    status: int
    cases: Sequence[Case] = ()
    commit: str = ""
    facts: Mapping[str, str] = field(factory=dict)
    figures: Mapping[str, str] = field(factory=dict)
    programs: Mapping[str, str] = field(factory=dict)

    @property
    def ended_early(self) -> bool:
        """Whether its exit status is none that its tests account for."""
        accounted = any(case.outcome != PASSED for case in self.cases)
        return self.status != 0 and not (self.status == _TESTS_FAILED and accounted)

    def line(self) -> str:
        """As a line of the results: tests that passed are a number for each module."""
        whole = asdict(self)
        whole["cases"] = [case for case in whole["cases"] if case["outcome"] != PASSED]
        whole["passed"] = Counter(case.module for case in self.cases if case.outcome == PASSED)
        return json.dumps({name: value for name, value in whole.items() if value or name == "status"})

    @classmethod
    def of(cls, line: str) -> Self:
        """What ``line`` noted; the tests that passed have no names any more."""
        noted: dict[str, Any] = json.loads(line)
        counts: Mapping[str, int] = noted.pop("passed", {})
        well = [Case(noted["name"], module, "", PASSED) for module, count in counts.items() for _ in range(count)]
        return cls(**{**noted, "cases": well + [Case(**case) for case in noted.pop("cases", [])]})


def main(results: Path, page: Path) -> int:
    """Write the page; the exit code is 0 where every promise is held on every host."""
    parts = read(results)
    page.write_text(made(parts), encoding="utf-8")
    return 0 if all_held(parts) else 1


def read(results: Path) -> list[Part]:
    """What has been noted; nothing when there is no file."""
    return [Part.of(line) for line in results.read_text().splitlines()] if results.exists() else []


def note(results: Path, part: Part) -> None:
    """Put the part in the place of what was noted of it before."""
    others = [each for each in read(results) if (each.host, each.name) != (part.host, part.name)]
    order = [*PLAN]
    parts = sorted([*others, part], key=lambda each: (order.index(each.host), [FACTS, *ALL].index(each.name)))
    results.write_text("".join(each.line() + "\n" for each in parts))


def passed(results: Path) -> set[tuple[str, str]]:
    """Host and name of each part that ended well the last time it ran."""
    return {(part.host, part.name) for part in read(results) if part.status == 0}


def made(parts: Sequence[Part]) -> str:
    """The page."""
    return HEAD + "\n".join([*_facts(parts), "", *_promises(parts), *_shortfalls(parts), *_programs(parts), ""])


def all_held(parts: Sequence[Part]) -> bool:
    """Whether every promise is held on every host of the plan."""
    planned = [(promise, host) for host in PLAN for promise in _shown(parts) if promise.part in PLAN[host]]
    return all(is_held(promise, host, parts) for promise, host in planned)


def is_held(promise: Promise, host: str, parts: Sequence[Part]) -> bool:
    """Whether its tests ran on the host and all passed."""
    cases = _of(promise, host, parts)
    part = _part(parts, host, promise.part)
    return bool(cases) and part is not None and not part.ended_early and all(case.outcome == PASSED for case in cases)


def cell(promise: Promise, host: str, parts: Sequence[Part]) -> str:
    """What the table says of a promise on a host."""
    if promise.part not in PLAN[host]:
        return "-"
    cases = _of(promise, host, parts)
    part = _part(parts, host, promise.part)
    if part is None or not cases:
        return "**did not run**"
    passed = sum(case.outcome == PASSED for case in cases)
    if is_held(promise, host, parts):
        return f"held, {passed} of {len(cases)}"
    counts = [(sum(case.outcome == outcome for case in cases), outcome) for outcome in (FAILED, SKIPPED)]
    why = [f"{count} {outcome}" for count, outcome in counts if count]
    if part.ended_early:
        why.append("the run ended early")
    return f"**not held**, {passed} of {len(cases)}: {', '.join(why)}"


def cases_of(report: str, part: str) -> list[Case]:
    """The tests of a report in JUnit's form; one that is there twice, as after an error in its end, counts with the worse."""
    found: dict[tuple[str, str], Case] = {}
    for element in _tests(report):
        case = _case(element, part)
        known = found.get((case.module, case.name))
        if known is None or _WORST.index(case.outcome) > _WORST.index(known.outcome):
            found[case.module, case.name] = case
    return list(found.values())


def noted_in(report: str, kind: str) -> dict[str, str]:
    """What tests noted as properties of one kind: of their host, or of a program."""
    noted = [item for element in _tests(report) for item in element.iter("property")]
    pairs = [(str(item.get("name")), str(item.get("value"))) for item in noted]
    return {name.removeprefix(kind).strip(): value for name, value in pairs if name.startswith(kind)}


def _tests(report: str) -> Iterator[ET.Element]:
    return ET.fromstring(report).iter("testcase")  # noqa: S314 - pytest wrote it in this run


def _case(element: ET.Element, part: str) -> Case:
    for tag, outcome in (("failure", FAILED), ("error", FAILED), ("skipped", SKIPPED)):
        found = element.find(tag)
        if found is not None:
            return Case(part, str(element.get("classname")), str(element.get("name")), outcome, str(found.get("message", "")))
    return Case(part, str(element.get("classname")), str(element.get("name")), PASSED)


def reported(host: str, name: str, status: int, commit: str, report: str) -> Part:
    """A part as pytest told of it, in JUnit's form."""
    return Part(host, name, status, cases_of(report, name), commit, {}, noted_in(report, FIGURE), noted_in(report, PROGRAM))


def typed(host: str, commands: Mapping[str, int], commit: str, status: int) -> Part:
    """What became of the commands of a fresh machine, by their exit status."""
    return Part(host, FRESH, status, [_command(FRESH, command, code) for command, code in commands.items()], commit)


def _command(part: str, command: str, status: int) -> Case:
    outcome, reason = (FAILED, f"its exit status is {status}") if status else (PASSED, "")
    return Case(part, command, "", outcome, reason)


def _of(promise: Promise, host: str, parts: Iterable[Part]) -> list[Case]:
    """Its tests that ran on a host."""
    return [case for part in parts if part.host == host for case in part.cases if _promise(case) == promise]


def _promise(case: Case) -> Promise:
    """The one that names its module, or else the one that has the rest of its part."""
    candidates = [promise for promise in PROMISES if promise.part == case.part]
    named = [promise for promise in candidates if case.module in promise.modules]
    return next(iter(named or [promise for promise in candidates if not promise.modules]))


def _part(parts: Iterable[Part], host: str, name: str) -> Part | None:
    return next((part for part in parts if (part.host, part.name) == (host, name)), None)


def _shown(parts: Sequence[Part]) -> list[Promise]:
    """All promises, but for the rest of the contract where every test has a promise of its own."""
    return [promise for promise in PROMISES if promise != REST or any(_of(REST, host, parts) for host in PLAN)]


def _facts(parts: Sequence[Part]) -> Iterator[str]:
    facts = {host: {key: value for part in parts if part.host == host for key, value in part.facts.items()} for host in PLAN}
    figures = {
        host: {key: value for part in parts if part.host == host for key, value in part.figures.items()} for host in PLAN
    }
    yield _row("", *(TITLES[host] for host in PLAN))
    yield _row(*["---"] * (len(PLAN) + 1))
    for key, title in _FACTS.items():
        yield _row(title, *(facts[host].get(key, "**unknown**") for host in PLAN))
    yield _row("commit tested", *(_commits(parts, host) or "**unknown**" for host in PLAN))
    for key in dict.fromkeys(key for host in PLAN for key in figures[host]):
        yield _row(key, *(figures[host].get(key, "-") for host in PLAN))


def _commits(parts: Sequence[Part], host: str) -> str:
    """Those of its parts, oldest first; more than one where a run went on after a change."""
    commits: dict[str, list[str]] = {}
    for part in parts:
        if part.host == host and part.commit and not part.facts:
            commits.setdefault(part.commit, []).append(part.name)
    if len(commits) < 2:  # noqa: PLR2004
        return "".join(commits)
    return ", ".join(f"{commit} ({', '.join(names)})" for commit, names in commits.items())


def _promises(parts: Sequence[Part]) -> Iterator[str]:
    yield _row("promise", *(TITLES[host] for host in PLAN))
    yield _row(*["---"] * (len(PLAN) + 1))
    for promise in _shown(parts):
        yield _row(promise.name, *(cell(promise, host, parts) for host in PLAN))


def _shortfalls(parts: Sequence[Part]) -> Iterator[str]:
    """Every test that did not pass, by its host."""
    for host in PLAN:
        short = [case for part in parts if part.host == host for case in part.cases if case.outcome != PASSED]
        if short:
            yield f"\n## Not held on {TITLES[host]}\n"
            yield from (f"- {case.outcome}: `{_name(case)}`: {_line(case.reason)}" for case in short)


def _programs(parts: Sequence[Part]) -> Iterator[str]:
    """What was told of each program on each host."""
    names = dict.fromkeys(name for part in parts for name in part.programs)
    if names:
        yield "\n## What is told of a program\n\nAs `orchestrator show --json` has it: verdict, evidence, metrics.\n"
    for name in names:
        yield f"- `{name}`"
        yield from (f"  - {TITLES[part.host]}: `{part.programs[name]}`" for part in parts if name in part.programs)


def _name(case: Case) -> str:
    return "::".join(filter(None, [case.module.rpartition(".")[2], case.name]))


def _line(text: str) -> str:
    """Its first line, short and with nothing that a table or a list would take for its own."""
    first = next(iter(text.strip().splitlines()), "no reason given")
    return first.replace("|", "\\|").replace("`", "'")[:200]


def _row(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
