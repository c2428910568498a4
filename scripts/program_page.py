"""Writes docs/programs.md from the results of one run of `make programs`."""

from collections.abc import Mapping, Sequence

from attrs import frozen

from orchestrator.task.units import format_size
from scripts.program_limits import LADDERS, Limits
from scripts.program_runs import Result
from scripts.program_table import NOT_RUN, Program

HEAD = """<!-- Made by `make programs`; edits here are lost. -->

# Programs

Small programs in many languages, each in an image made of Debian's packages. Made by one run of `make programs`, on
{engine}, {cpus} CPUs.

Each program ran once as `docker run --network none --read-only --tmpfs /tmp IMAGE …`, and then once as a task through a worker
with the limits that a task has by default: {defaults}.
A run *passed* when the program exited with 0 and its last line was the right one. Seconds count from the call to the end, on a
machine that others may have used at the same time. Each run had a new container; what it read of the image may have been in
memory already, and does not count as its own then.

Then each limit was lowered on its own while the others were roomy, until the program failed. The least values that passed are
below, from these steps:

{steps}

Lower values were not tried. A program that took longer than five times what it takes with ample limits, and 10 s more, counts
as failed: some hang when they lack a thread or memory. At last it ran with all of the least values at once. Memory holds what
is in `/tmp`, too. One run per step tells little about a program that only sometimes needs more, so grant more than that.

What differs for every program: a task runs as user 65534 and not as root, without capabilities, with `HOME=/tmp` where the
image has no home for that user, with limits, and under an init. Its `/tmp` may hold programs; that of `--tmpfs /tmp` may not,
so what is built there does not start. Such programs ran once more with `--tmpfs /tmp:exec`, and the page says so.

{verdict}

| program | does | image | docker run | task, default limits | least limits | all of these | differs |
|---|---|---|---|---|---|---|---|
"""
FAULT = "**fault**: it passes with docker run, and as a task with no limits that were tried"


@frozen
class Row:
    """What is known of one program. ``missing`` says why it did not run; the rest is None or empty then.

    ``executable`` is the run with a /tmp that may hold programs, where the one without failed. ``roomy`` is the task with roomy
    limits, where the one with the default limits failed.
    """

    program: Program
    missing: str = ""
    size: int = 0
    docker: Result | None = None
    executable: Result | None = None
    task: Result | None = None
    roomy: Result | None = None
    least: Limits | None = None
    together: Result | None = None

    @property
    def docker_passed(self) -> bool:
        """Whether it passed with docker run, in either form."""
        return any(result is not None and result.passed for result in (self.docker, self.executable))

    @property
    def task_passed(self) -> bool:
        """Whether it passed as a task, with whatever limits."""
        return any(result is not None and result.passed for result in (self.task, self.roomy))

    @property
    def is_fault(self) -> bool:
        """Whether the task is to blame."""
        return self.docker_passed and not self.task_passed


def page(rows: Sequence[Row], engine: str, cpus: int, defaults: Mapping[str, float]) -> str:
    """The text of the page."""
    ran = [row for row in rows if not row.missing]
    verdict = (
        f"{len(ran)} programs ran: {sum(row.docker_passed for row in ran)} passed with docker run, "
        f"{sum(row.task is not None and row.task.passed for row in ran)} as a task with the default limits, "
        f"{sum(row.task_passed for row in ran)} as a task with the default or roomy limits. "
        f"Faults: {sum(row.is_fault for row in ran)}."
    )
    steps = "\n".join(f"- {name}: {', '.join(_value(name, step) for step in ladder)}" for name, ladder in LADDERS.items())
    head = HEAD.format(engine=engine, cpus=cpus, defaults=shown(defaults), steps=steps, verdict=verdict)
    return head + "".join(map(line, ran)) + _missing({row.program.name: row.missing for row in rows if row.missing} | NOT_RUN)


def line(row: Row) -> str:
    """One program as a row of the table."""
    packages = " ".join(row.program.packages) or "as the base"
    cells = [
        row.program.name,
        row.program.words,
        f"{packages}, {row.size // 10**6} MB",
        _both(row.docker, "`exec`", row.executable),
        _both(row.task, "roomy", row.roomy),
        shown(row.least) if row.least else "not searched" if row.task_passed else "-",
        str(row.together or "-"),
        differs(row),
    ]
    return f"| {' | '.join(map(_cell, cells))} |\n"


def differs(row: Row) -> str:
    """How the task differs from docker run, in words."""
    if row.is_fault:
        return FAULT
    words = []
    if row.docker_passed and row.task and not row.task.passed:
        words.append("needs more than the default limits")
    if row.executable and row.executable.passed and row.task_passed:
        words.append("docker run needs `--tmpfs /tmp:exec`")
    elif row.task_passed and not row.docker_passed:
        words.append("passes only as a task")
    elif not row.docker_passed:
        words.append("passes neither way")
    return "; ".join(words) or "nothing"


def shown(limits: Mapping[str, float | str]) -> str:
    """Limits in words."""
    return ", ".join(f"{name} {_value(name, value)}" for name, value in limits.items())


def _value(name: str, value: float | str) -> str:
    if isinstance(value, str) or name == "pids":
        return str(value)
    return f"{value:g}" if name == "cpus" else f"{value:g} s" if name == "timeout" else format_size(int(value))


def _both(first: Result | None, name: str, second: Result | None) -> str:
    return str(first or "-") + (f"; {name}: {second}" if second else "")


def _cell(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def _missing(reasons: Mapping[str, str]) -> str:
    rows = "".join(f"| {_cell(name)} | {_cell(reason)} |\n" for name, reason in reasons.items())
    return f"\n## What did not run\n\n| program | why |\n|---|---|\n{rows}"
