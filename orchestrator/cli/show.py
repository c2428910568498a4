"""The commands that look at tasks: `show`, `list` and `logs`."""

import sys

import click

from orchestrator.cli.connect import client
from orchestrator.cli.output import print_streams, raw_option
from orchestrator.cli.plain import as_json, document
from orchestrator.cli.terminal import say_json
from orchestrator.ports import Stream
from orchestrator.wiring import Server
from statemachine import State


@click.command("show")
@click.argument("task_id", metavar="ID")
@click.option("--json", is_flag=True, help="Print the task document as JSON.")
def show_command(task_id: str, *, json: bool) -> None:
    """Show a task: its status and why, its use of the machine, where its log is, its history."""
    task = client({Server.MONGODB}).get(task_id)
    if json:
        say_json(as_json(document(task)))
    else:
        from orchestrator.cli.render import card, console  # noqa: PLC0415  the library that draws is slow to import

        console(sys.stdout).print(card(task))


@click.command("list")
@click.option("--status", type=click.Choice([*map(str, State)]), help="Only tasks with this status.")
@click.option("--limit", type=click.IntRange(1, 10_000), metavar="N", default=50, show_default=True, help="How many at most.")
@click.option("--json", is_flag=True, help="Print a JSON array of task documents, without their files and stdin.")
def list_command(status: str | None, limit: int, *, json: bool) -> None:
    """List the newest tasks, newest first."""
    tasks = client({Server.MONGODB}).list(State(status) if status else None, limit)
    if json:
        say_json(as_json([document(task) for task in tasks]))
    else:
        from orchestrator.cli.render import console, table  # noqa: PLC0415  the library that draws is slow to import

        console(sys.stdout).print(table(tasks))


@click.command("logs")
@click.argument("task_id", metavar="ID")
@click.option("--stdout", is_flag=True, help="Only what went to stdout.")
@click.option("--stderr", is_flag=True, help="Only what went to stderr.")
@raw_option
def logs_command(task_id: str, *, stdout: bool, stderr: bool, raw: bool) -> None:
    """Print the output of a finished task: its stdout to stdout, its stderr to stderr.

    Byte for byte, but what a terminal would obey is replaced in a terminal.
    """
    chosen = {Stream.STDOUT: stdout, Stream.STDERR: stderr}
    streams = [stream for stream in Stream if chosen[stream] or stdout == stderr]
    print_streams(client({Server.MONGODB, Server.S3}), task_id, streams, raw=raw)
