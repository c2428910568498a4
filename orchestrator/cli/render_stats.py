"""Figures as people read them."""

from collections.abc import Iterable, Iterator
from typing import TextIO

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from orchestrator.cli.render import coloured, console
from orchestrator.cli.spark import spark
from orchestrator.cli.terminal import printable
from orchestrator.outcome.stats import Quantiles, Stats

_UNITS = ((86_400, "d"), (3600, "h"), (60, "min"))


def print_stats(stats: Stats, stream: TextIO, *, again: bool = False) -> None:
    """Print them; with ``again`` in place of what is on the terminal."""
    shown = console(stream)
    if again and shown.is_terminal:
        shown.clear()
    shown.print(_page(stats))


def duration(seconds: float | None) -> str:
    """Seconds for people; a dash for none."""
    if seconds is None:
        return "-"
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.2f} s" if seconds < 1 else f"{seconds:.1f} s"


def _page(stats: Stats) -> Group:
    rows = Table.grid(padding=(0, 2))
    for name, value in _facts(stats):
        rows.add_row(Text(name, "dim"), value)
    return Group(rows, Text(), _workers(stats))


def _facts(stats: Stats) -> Iterator[tuple[str, Text]]:
    oldest = f", the first one for {duration(stats.queue.oldest)}" if stats.queue.oldest is not None else ""
    yield "queue", Text(f"{stats.queue.jobs} waiting{oldest}")
    yield (
        "tasks",
        _joined(
            Text(f"{number}{'+' * (state in stats.more)} ").append(coloured(state))
            for state, number in stats.tasks.items()
            if number
        ),
    )
    yield "window", Text(duration(stats.window))
    started, finished = stats.per_minute(stats.started), stats.per_minute(stats.finished)
    yield "a minute", Text(f"{started:g} started, {finished:g} finished")
    yield "finished", Text(spark([float(bucket.finished) for bucket in stats.over_time]))
    yield "wait", Text(_quantiles(stats.wait))
    yield "run", Text(_quantiles(stats.run))
    yield "ends", _joined(Text(f"{number} ").append(coloured(state)) for state, number in stats.ends.items() if number)
    yield "causes", _joined(Text(f"{number} {printable(cause)}") for cause, number in stats.causes.items())


def _quantiles(quantiles: Quantiles) -> str:
    return f"p50 {duration(quantiles.p50)}, p95 {duration(quantiles.p95)}"


def _joined(texts: Iterable[Text]) -> Text:
    return Text(", ").join(texts) or Text("none")


def _workers(stats: Stats) -> RenderableType:
    if not stats.workers:
        return Text("no worker takes tasks from this queue", "yellow")
    rows = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("WORKER", "STATE", "HOST", "SLOTS", "HEARTBEAT", "ENGINE", "TASKS"):
        rows.add_column(name, no_wrap=name != "TASKS")
    for worker in stats.workers:
        heard = f"{duration(max((stats.at - worker.last_heartbeat).total_seconds(), 0))} ago"
        slots = f"{len(worker.tasks)}/{worker.slots}"
        said = (worker.name, worker.state, worker.host, slots, heard, worker.engine[:12], " ".join(worker.tasks))
        rows.add_row(*(Text(printable(text)) for text in said))
    return rows
