"""Running tasks and what they use, as people read it."""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import TextIO

from rich.live import Live
from rich.table import Table
from rich.text import Text

from orchestrator.cli.render import command, console
from orchestrator.cli.render_stats import duration
from orchestrator.cli.terminal import printable
from orchestrator.ports import Point
from orchestrator.task.document import Task
from orchestrator.task.units import format_size

Running = Sequence[tuple[Task, Point | None]]
_NAMES = ("ID", "CPU", "MEMORY", "PIDS", "NET IN / OUT", "DISK READ / WRITTEN", "RUNS FOR", "IMAGE", "COMMAND")
_EVERY = 1.0


def print_once(running: Running, stream: TextIO) -> None:
    """A row for each."""
    console(stream).print(_table(running, datetime.now(UTC)))


def keep_printing(look: Callable[[], Running], stream: TextIO) -> None:
    """The same, again and again on the whole terminal, until Ctrl-C."""
    with suppress(KeyboardInterrupt), Live(console=console(stream), screen=True, auto_refresh=False) as live:
        while True:
            live.update(_table(look(), datetime.now(UTC)), refresh=True)
            time.sleep(_EVERY)


def _table(running: Running, at: datetime) -> Table:
    rows = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in _NAMES:
        rows.add_column(name, no_wrap=True, overflow="ellipsis", justify="right" if name in _NAMES[1:7] else "left")
    for task, point in running:
        ran = duration((at - task.started_at).total_seconds()) if task.started_at else "-"
        said = (task.id, *_use(point), ran, task.request.get("image", ""), command(task))
        rows.add_row(*(Text(printable(text)) for text in said))
    if not running:
        rows.add_row(Text("no program runs", "dim"))
    return rows


def _use(point: Point | None) -> Sequence[str]:
    if point is None:
        return ("-",) * 5
    return (
        f"{point.cpu_percent:.1f} %",
        format_size(point.memory_bytes),
        str(point.pids),
        _both(point.received_bytes, point.sent_bytes),
        _both(point.read_bytes, point.written_bytes),
    )


def _both(one: int | None, other: int | None) -> str:
    return " / ".join("-" if size is None else format_size(size) for size in (one, other))
