"""The command that tells figures about many tasks and the workers: `stats`."""

import sys
import time
from contextlib import suppress

import click

from orchestrator.cli.connect import client
from orchestrator.cli.page import examples
from orchestrator.cli.plain import as_json
from orchestrator.cli.terminal import say_json
from orchestrator.outcome.stats import Stats
from orchestrator.task.units import FOREVER, parse_duration
from orchestrator.wiring import Server

_EVERY = 2.0


class Window(click.ParamType[float]):
    """Seconds, or text such as 1h; a second at least."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The seconds. Says what it may be when it is something else."""
        try:
            seconds = parse_duration(value)
        except ValueError as error:
            self.fail(f"{value!r} is not {error}", param, ctx)
        if not 1 <= seconds < FOREVER:
            self.fail(f"{value!r} is shorter than a second", param, ctx)
        return seconds


@click.command(
    "stats",
    epilog=examples(
        "orchestrator stats --window 10m",
        "orchestrator stats --json | jq .queue",
    ),
)
@click.option("--window", metavar="TIME", type=Window(), default="1h", show_default=True, help="How far back figures reach.")
@click.option("--json", is_flag=True, help="Print them as JSON; with --watch, a line each time.")
@click.option("--watch", is_flag=True, help="Look again every two seconds, until Ctrl-C.")
def stats_command(window: float, *, json: bool, watch: bool) -> None:
    """Tell what waits, how much gets done, how long it takes, how it ends, and what each worker runs.

    Of very many tasks that ended in the window the last thousand count, and the window is as long as they reach back.
    """
    connected = client({Server.MONGODB, Server.REDIS})
    if not watch:
        _tell(connected.stats(window), json=json)
        return
    with suppress(KeyboardInterrupt):
        while True:
            _tell(connected.stats(window), json=json, again=True)
            time.sleep(_EVERY)


def _tell(stats: Stats, *, json: bool, again: bool = False) -> None:
    if json:
        say_json(as_json(stats.document(), indent=None if again else 2))
        sys.stdout.flush()
    else:
        from orchestrator.cli.render_stats import print_stats  # noqa: PLC0415  the library that draws is slow to import

        print_stats(stats, sys.stdout, again=again)
