"""Tasks as people read them. What a task says is shown as text, never as markup or terminal commands."""

import shlex
from collections.abc import Iterable
from datetime import UTC, datetime, tzinfo
from typing import TextIO

from attrs import frozen
from rich.cells import cell_len
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from orchestrator.cli.spark import spark
from orchestrator.cli.terminal import printable
from orchestrator.outcome.series import Series
from orchestrator.task.document import Task
from orchestrator.task.units import format_size
from orchestrator.task.values import LogObject
from statemachine import State

_STYLES = {State.SUCCEEDED: "green", State.FAILED: "red", State.TIMED_OUT: "yellow"}
_WIDE = 10_000
"""Columns when nobody looks at a screen: lines are never wrapped."""
_NAMES = ("ID", "STATUS", "CAUSE", "EXIT", "AGE", "IMAGE", "COMMAND")
_LEAVING = ("COMMAND", "IMAGE", "CAUSE", "STATUS")
"""The columns that are left out of a list when there is no room, the first one first. The others are always whole."""
SPARK = 40
"""The most blocks of a line that is drawn."""
_CUT = 12
"""Characters of image and command that are worth a column."""
_UNITS = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def console(stream: TextIO) -> Console:
    """A console on the stream: colours and the terminal's width in a terminal, plain unwrapped lines elsewhere."""
    width = None if stream.isatty() else _WIDE
    return Console(file=stream, width=width, markup=False, emoji=False, highlight=False, soft_wrap=False)


def coloured(state: State) -> Text:
    """A status in its colour."""
    return Text(state, _STYLES.get(state, "cyan"))


def command(task: Task) -> str:
    """The image's or the given command, quoted for a shell."""
    words = task.request.get("command")
    return printable(shlex.join(map(str, words)) if isinstance(words, list) else str(words or ""))


def seconds(task: Task) -> str:
    """How long the program ran, by the engine's clock; empty when it is not known."""
    return f"{task.metrics.duration_s:.2f} s" if task.metrics else ""


def memory(task: Task) -> str:
    """The most memory that was counted, or that a sample saw; empty when nothing is known."""
    if task.metrics is None:
        return ""
    sampled = task.metrics.memory_bytes.max if task.metrics.memory_bytes else 0
    most = task.metrics.memory_peak_bytes or sampled
    return format_size(most) if most else ""


def summary(task: Task) -> Text:
    """One line for the end of a run."""
    line = coloured(task.status)
    line.append(f" after {seconds(task)}" if task.metrics else "", "default")
    line.append(f": {printable(task.message)}", "default")
    cut = [name for name, log in _streams(task) if log.truncated]
    line.append(f"; {' and '.join(cut)} cut" if cut else "", "yellow")
    return line.append(f" ({printable(task.id)})", "dim")


def card(task: Task, zone: tzinfo | None = None, waits: str = "", series: Series | None = None) -> Group:
    """Everything about one task, and why it ``waits``; times are in the ``zone``, None for this host's.

    What it used over time is drawn where it is given.
    """
    rows = Table.grid(padding=(0, 2))
    for name, value in (*_facts(task, waits), *_drawn(series)):
        if value:
            rows.add_row(Text(name, "dim"), value if isinstance(value, Text) else Text(printable(value)))
    return Group(rows, Text(), _history(task, zone))


def print_table(tasks: Iterable[Task], stream: TextIO) -> None:
    """A row for each task. Where lines are too short, image and command are cut, and columns left out; see ``_LEAVING``."""
    shown = console(stream)
    columns = _fitting(_columns(tasks), shown.width)
    widths = _widths(columns, shown.width)
    rows = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for column, width in zip(columns, widths, strict=True):
        rows.add_column(column.name, no_wrap=True, width=width, overflow="ellipsis")
    for cells in zip(*(column.cells for column in columns), strict=True):
        rows.add_row(*cells)
    shown.width = max(shown.width, sum(widths) + len(widths) - 1)  # what cannot be cut, the terminal wraps
    shown.print(rows)


@frozen
class _Shown:
    """A column of a list; of one that can be cut, ``_CUT`` characters are enough."""

    name: str
    cells: list[Text]

    @property
    def whole(self) -> int:
        """The width of all that is in it."""
        return max(map(cell_len, [self.name, *(cell.plain for cell in self.cells)]))

    @property
    def least(self) -> int:
        """The width below which it is not shown."""
        return min(self.whole, _CUT) if self.name in {"IMAGE", "COMMAND"} else self.whole


def _columns(tasks: Iterable[Task]) -> list[_Shown]:
    rows = [
        (
            Text(printable(task.id)),
            coloured(task.status),
            Text(task.cause or ""),
            Text("" if task.exit_code is None else str(task.exit_code)),
            Text(_age(task.created_at)),
            Text(printable(str(task.request.get("image", "")))),
            Text(command(task)),
        )
        for task in tasks
    ]
    cells = [*map(list, zip(*rows, strict=True))] or [[] for _ in _NAMES]
    return [_Shown(name, of) for name, of in zip(_NAMES, cells, strict=True)]


def _fitting(columns: list[_Shown], width: int) -> list[_Shown]:
    """Those that have room side by side, with a blank between them."""
    for leaves in _LEAVING:
        if sum(column.least + 1 for column in columns) - 1 <= width:
            break
        columns = [column for column in columns if column.name != leaves]
    return columns


def _widths(columns: list[_Shown], width: int) -> list[int]:
    """Their widths: what is left of the line goes to those that are cut, half of it to the first one."""
    left = max(width + 1 - sum(column.least + 1 for column in columns), 0)
    wanting = [column.whole - column.least for column in columns]
    widths = []
    for number, column in enumerate(columns):
        others = sum(wanting[number + 1 :])
        more = min(wanting[number], max(left - others, left // 2))
        left -= more
        widths.append(column.least + more)
    return widths


def artifacts_table(task: Task) -> Table:
    """A row for each artifact, then what was refused, and why."""
    rows = Table("PATH", "SIZE", "SHA256", box=None, pad_edge=False)
    for kept in task.artifacts_stored:
        rows.add_row(Text(printable(kept.path)), format_size(kept.bytes), Text(printable(kept.sha256)))
    if removed := _removed_artifacts(task):
        rows.add_row(Text(removed, "yellow"))
    for refused in task.artifacts_refused:
        rows.add_row(Text(printable(refused.path)), Text("refused", "yellow"), Text(printable(refused.why)))
    return rows


def _age(created_at: datetime | None) -> str:
    """How long ago that was, in the largest unit of which there are two or more."""
    if created_at is None:
        return ""
    age = max((datetime.now(UTC) - created_at).total_seconds(), 0)
    size, unit = next((size, unit) for size, unit in _UNITS if age >= 2 * size or size == 1)
    return f"{age // size:.0f} {unit}"


def _facts(task: Task, waits: str) -> Iterable[tuple[str, str | Text]]:
    yield "task", task.id
    yield "status", coloured(task.status)
    yield "waits", waits
    yield "cause", task.cause or ""
    yield "message", task.message
    yield "exit code", "" if task.exit_code is None else str(task.exit_code)
    yield "image", str(task.request.get("image", ""))
    yield "command", command(task)
    taken_over = f", ended by {task.finished_by}" if task.finished_by not in {None, task.worker} else ""
    yield "worker", f"{task.worker} (attempt {task.attempt}){taken_over}" if task.worker else ""
    yield "container", f"{task.container.name} {task.container.id[:12]}" if task.container else ""
    yield from _use(task)
    yield from ((name, _log(task, log)) for name, log in _streams(task))
    yield from (
        ("artifact", f"{kept.path}, {format_size(kept.bytes)}, sha256 {kept.sha256[:12]}…") for kept in task.artifacts_stored
    )
    yield from (("refused", f"{refused.path}: {refused.why}") for refused in task.artifacts_refused)
    yield "removed", f"the logs were removed on {task.logs_removed_at:%Y-%m-%d}" if task.logs and task.logs_removed_at else ""
    yield "removed", _removed_artifacts(task)


def _removed_artifacts(task: Task) -> str:
    at = task.artifacts_removed_at
    return f"the artifacts were removed on {at:%Y-%m-%d}" if task.artifacts_stored and at else ""


def _drawn(series: Series | None) -> Iterable[tuple[str, str]]:
    if series is None:
        return
    seconds = series.column("t")
    span = f"from {seconds[0]:.1f} s to {seconds[-1]:.1f} s"
    cpu, memory = series.column("cpu_percent"), series.column("memory_bytes")
    yield "cpu over time", f"{spark(cpu, SPARK)} {span}, up to {max(cpu):.0f} %"
    yield "memory over time", f"{spark(memory, SPARK)} {span}, up to {format_size(max(memory))}"


def _use(task: Task) -> Iterable[tuple[str, str]]:
    if task.metrics is None:
        return
    yield "ran for", f"{seconds(task)}, {task.metrics.samples} samples"
    if cpu := task.metrics.cpu_percent:
        yield "CPU", f"{cpu.max:.0f} % at most, {cpu.avg:.0f} % on average, of one core"
    if used := task.metrics.memory_bytes:
        yield "memory", f"{format_size(used.max)} at most, {format_size(used.avg)} on average"
    if task.metrics.cpu_time_s is not None:
        held = f", held up for {task.metrics.throttled_s:.2f} s" if task.metrics.throttled_s else ""
        yield "CPU time", f"{task.metrics.cpu_time_s:.2f} s{held}"
    if task.metrics.memory_peak_bytes:
        processes = f", {task.metrics.pids_peak} processes and threads" if task.metrics.pids_peak else ""
        yield "peaks", f"{format_size(task.metrics.memory_peak_bytes)}{processes}"


def _streams(task: Task) -> list[tuple[str, LogObject]]:
    return [("stdout", task.logs.stdout), ("stderr", task.logs.stderr)] if task.logs else []


def _log(task: Task, log: LogObject) -> str:
    bucket = task.logs.bucket if task.logs else ""
    if not log.bytes:
        return f"empty{', cut' if log.truncated else ''}"
    return f"{format_size(log.bytes)}{', cut' if log.truncated else ''} in {bucket}/{log.key}, sha256 {log.sha256[:12]}…"


def _history(task: Task, zone: tzinfo | None) -> Table:
    rows = Table("SEQ", "AT", "TRIGGER", "STATUS", box=None, pad_edge=False)
    if task.created_at:
        rows.add_row("0", _time(task.created_at, zone), "", State.QUEUED)
    for entry in task.history:
        rows.add_row(str(entry.seq), _time(entry.at, zone), entry.trigger, entry.status)
    return rows


def _time(at: datetime, zone: tzinfo | None) -> str:
    """In the zone, which the offset names."""
    return at.astimezone(zone).isoformat(" ", "milliseconds")
