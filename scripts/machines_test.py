"""The long form on machines, two side by side; docs/hosts.md is made from it: ``python -m scripts.machines_test [PART...]``.

On Debian 12, 13 and testing: the engine's contract, its slices of systemd, tasks through a worker, the hostile programs, the
faults in their short form, and the README's commands on a bare machine; the contract once more with the engine's other cgroup
driver. Without PARTs all of them; parts that are left out stand on the page as such. HOSTS="bookworm trixie" runs on these.

Logs and reports are in ``.orchestrator/hosts``. The result of each part is noted in docs/hosts.jsonl when it ends, and the page
is written again. With RESUME=1 a run that was cut short goes on, also on another machine: what passed is not run again, and the
page names the commit of each part.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock

from attrs import field, frozen

from scripts import hosts
from scripts.hosts import ABUSE, CONTRACT, FACTS, FAULTS, FRESH, PLAN, SYSTEMD, WORKER, Part, reported, typed
from scripts.machine_checkout import in_checkout, pytest, sync
from scripts.machine_disk import CHECKOUT
from scripts.machine_fresh import TARGETS, fresh
from scripts.machine_vm import Machine, call, down, inside, machine, up
from scripts.packages import NotReady

FOLDER = CHECKOUT / ".orchestrator/hosts"
RESULTS = CHECKOUT / "docs/hosts.jsonl"
PAGE = CHECKOUT / "docs/hosts.md"
AT_ONCE = 2
LIMIT = 4 * 3600.0
"""Seconds for one part; what takes longer hangs."""
TESTS = {
    CONTRACT: "tests/contract/engine",
    SYSTEMD: "tests/hosts",
    WORKER: " ".join(f"tests/acceptance/test_{name}.py" for name in ("tasks", "programs", "artifacts", "image")),
    ABUSE: "tests/abuse",
    FAULTS: "-m host tests/faults",
}
_REPORT = "/root/report.xml"
_BROKEN = 70
"""The exit status of a part whose machine did not come up or was lost."""


@frozen
class Run:
    """One run of the long form: what it leaves, and where."""

    folder: Path
    parts: Sequence[str]
    targets: Sequence[str] = TARGETS
    passed: Collection[tuple[str, str]] = ()
    """Host and part of what passed before the run was cut short."""
    _lock: Lock = field(factory=Lock)

    def host(self, name: str) -> None:
        """All parts that are planned for a host; the machine goes afterwards."""
        planned = [part for part in PLAN[name] if part in self.parts and (name, part) not in self.passed]
        one = machine(name)
        try:
            if set(planned) - {FRESH}:
                self._tests(one, [part for part in planned if part != FRESH])
            if FRESH in planned:
                self._fresh(one)
        finally:
            down(one)

    def _tests(self, one: Machine, parts: Sequence[str]) -> None:
        commit = _commit()  # before it is copied: the checkout may change while its tests run
        try:
            _begin(one)
            facts = json.loads(inside(one, in_checkout("scripts/setup >&2 && .venv/bin/python -m scripts.machine_facts")))
        except NotReady as reason:
            self._say(one.name, f"no machine: {reason}")
            return
        self._note(Part(one.name, FACTS, 0, facts=facts))
        for part in parts:
            began = time.monotonic()
            status = self._part(one, part)
            report = self.folder / f"{one.name}.{part}.xml"
            self._note(reported(one.name, part, status, commit, report.read_text() if report.exists() else "<none/>"))
            self._say(one.name, f"{part} took {time.monotonic() - began:.0f} s")

    def _part(self, one: Machine, part: str) -> int:
        """Run its tests and fetch pytest's report; the exit status. A machine that was lost begins again for the next part."""
        (self.folder / f"{one.name}.{part}.xml").unlink(missing_ok=True)
        command = f"rm -f {_REPORT}; {pytest(f'-p scripts.no_skips --junitxml={_REPORT} {TESTS[part]}')}"
        try:
            if not one.pid:
                _begin(one)
            with (self.folder / f"{one.name}.{part}.log").open("wb") as log:
                status = call(one, in_checkout(f"{{ {command}; }}"), limit=LIMIT, output=log.fileno())
            report = inside(one, f"cat {_REPORT}")
        except (NotReady, subprocess.TimeoutExpired) as reason:
            self._say(one.name, f"{part} was lost: {reason}")
            down(one)
            return _BROKEN
        (self.folder / f"{one.name}.{part}.xml").write_text(report)
        return status

    def _fresh(self, one: Machine) -> None:
        """The README's commands on a bare machine; those after one that was lost did not run."""
        commands: dict[str, int] = {}
        commit = _commit()
        try:
            with (self.folder / f"{one.name}.{FRESH}.log").open("wb") as log:
                commands.update(fresh(one, self.targets, output=log.fileno()))
        except (NotReady, subprocess.TimeoutExpired) as reason:
            self._say(one.name, f"{FRESH} was lost: {reason}")
            self._note(typed(one.name, commands, commit, _BROKEN))
        else:
            self._note(typed(one.name, commands, commit, int(any(commands.values()))))

    def _note(self, part: Part) -> None:
        self._say(part.host, f"{part.name} ended with {part.status}")
        with self._lock:
            hosts.note(RESULTS, part)
            hosts.main(RESULTS, PAGE)

    def _say(self, host: str, what: str) -> None:
        print(f"{time.strftime('%H:%M:%S')} {host}: {what}", flush=True)


def _commit() -> str:
    """The commit that is tested, and whether the checkout differs from it in more than the results."""
    results = [f":!{path.relative_to(CHECKOUT)}" for path in (RESULTS, PAGE)]
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", ".", *results)
    return _git("rev-parse", "--short", "HEAD") + ("-dirty" if changed else "")


def _git(*arguments: str) -> str:
    asked = ("git", "-C", str(CHECKOUT), *arguments)
    return subprocess.run(asked, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def _begin(one: Machine) -> None:
    down(one)
    up(one)
    sync(one)


def main(parts: Sequence[str], environment: Mapping[str, str] = os.environ) -> int:
    """Run the long form and write the page; the exit code is 0 where every promise is held on every host."""
    chosen = environment.get("HOSTS", "").split() or [*PLAN]
    unknown = {*parts} - {*hosts.ALL} | {*chosen} - {*PLAN}
    if unknown:
        print(
            f"unknown: {', '.join(sorted(unknown))}; parts are {', '.join(hosts.ALL)}, hosts {', '.join(PLAN)}", file=sys.stderr
        )
        return 2
    if not environment.get("RESUME"):
        shutil.rmtree(FOLDER, ignore_errors=True)
        RESULTS.unlink(missing_ok=True)
    FOLDER.mkdir(parents=True, exist_ok=True)
    run = Run(FOLDER, parts or hosts.ALL, environment.get("TARGETS", "").split() or TARGETS, hosts.passed(RESULTS))
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(run.host, chosen))
    return hosts.main(RESULTS, PAGE)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
