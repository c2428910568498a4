"""The commands that tell figures about many tasks: `stats`, and `top` while their programs run."""

import sys
import time
from contextlib import suppress

import click
from attrs import asdict

from orchestrator.cli.connect import client
from orchestrator.cli.moment import Duration
from orchestrator.cli.page import examples
from orchestrator.cli.terminal import say_json
from orchestrator.outcome.stats import Stats
from orchestrator.ports import Point
from orchestrator.task.document import Task
from orchestrator.task.plain import as_json
from orchestrator.wiring import Server

_EVERY = 2.0
_WINDOW = Duration(1, "shorter than a second")


@click.command(
    "stats",
    epilog=examples(
        "orchestrator stats --window 10m",
        "orchestrator stats --json | jq .queue",
    ),
)
@click.option("--window", metavar="TIME", type=_WINDOW, default="1h", show_default=True, help="How far back figures reach.")
@click.option("--json", is_flag=True, help="Print them as JSON; with --watch, a line each time.")
@click.option("--watch", is_flag=True, help="Look again every two seconds, until Ctrl-C.")
def stats_command(window: float, *, json: bool, watch: bool) -> None:
    """Tell what waits, how much gets done, how long it takes, how it ends, and what each worker runs.

    When more than 20,000 tasks ended in the window, it is as long as these reach back. In the embedded database it is 500, and
    when there are more than 500 tasks in all, ended ones are counted among the newest 500: 480+.
    """
    connected = client({Server.MONGODB, Server.REDIS})
    if not watch:
        _tell(connected.stats(window), json=json)
        return
    with suppress(KeyboardInterrupt):
        while True:
            _tell(connected.stats(window), json=json, again=True)
            time.sleep(_EVERY)


@click.command(
    "top",
    epilog=examples(
        "orchestrator top",
        "orchestrator top --json | jq '.[].sample.memory_bytes'",
    ),
)
@click.option("--once", is_flag=True, help="Print it once, as where it is not printed to a terminal.")
@click.option("--json", is_flag=True, help="Print it once, as JSON.")
def top_command(*, once: bool, json: bool) -> None:
    """Show what the programs of running tasks use, on all hosts, a second or two ago; Ctrl-C ends it.

    A program is told of from its second second on. Bytes from and to disks and networks are those since its start.
    """
    connected = client({Server.MONGODB, Server.REDIS})
    if json:
        say_json(as_json([running_document(task, point) for task, point in connected.running()]))
        return
    from orchestrator.cli.render_top import keep_printing, print_once  # noqa: PLC0415  the library that draws is slow to import

    if once or not sys.stdout.isatty():
        print_once(connected.running(), sys.stdout)
    else:
        keep_printing(connected.running, sys.stdout)


def running_document(task: Task, point: Point | None) -> dict[str, object]:
    """A running task, as JSON has it."""
    asked = {name: task.request.get(name) for name in ("image", "command", "labels")}
    return {
        "_id": task.id,
        **asked,
        "worker": task.worker,
        "attempt": task.attempt,
        "started_at": task.started_at,
        "sample": asdict(point) if point else None,
    }


def _tell(stats: Stats, *, json: bool, again: bool = False) -> None:
    if json:
        say_json(as_json(stats.document(), indent=None if again else 2))
        sys.stdout.flush()
    else:
        from orchestrator.cli.render_stats import print_stats  # noqa: PLC0415  the library that draws is slow to import

        print_stats(stats, sys.stdout, again=again)
