"""The commands that look at tasks: `show`, `list` and `logs`."""

import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime

import click

from orchestrator.cause import Cause
from orchestrator.cli.connect import client
from orchestrator.cli.ending import FAILED
from orchestrator.cli.flags import label_of
from orchestrator.cli.moment import Moment
from orchestrator.cli.output import Printer, print_bytes, print_streams, raw_option
from orchestrator.cli.page import examples
from orchestrator.cli.run import Teller, follow
from orchestrator.cli.terminal import say, say_json
from orchestrator.cli.waiting import why_queued
from orchestrator.client import Client
from orchestrator.errors import InfrastructureError, SettingsError, UnknownTask
from orchestrator.outcome.series import Series
from orchestrator.ports import Stream
from orchestrator.task.document import Task
from orchestrator.task.plain import as_json, document
from orchestrator.wiring import Server
from statemachine import INITIAL, TERMINAL, State


def _print_table(tasks: Sequence[Task]) -> None:
    from orchestrator.cli.render import print_table  # noqa: PLC0415  the library that draws is slow to import

    print_table(tasks, sys.stdout)


def _print_json(tasks: Sequence[Task]) -> None:
    say_json(as_json([document(task) for task in tasks]))


def _print_lines(tasks: Sequence[Task]) -> None:
    for task in tasks:
        say_json(as_json(document(task), indent=None))


def _print_ids(tasks: Sequence[Task]) -> None:
    for task in tasks:
        say(task.id)


_WIDE = 100
"""Columns of a terminal in which use over time is drawn."""
_FORMS: Mapping[str, Callable[[Sequence[Task]], None]] = {
    "table": _print_table,
    "json": _print_json,
    "jsonl": _print_lines,
    "id": _print_ids,
}


@click.command(
    "show",
    epilog=examples(
        "orchestrator show 3f2a",
        "orchestrator show --json 3f2a | jq .metrics",
    ),
)
@click.argument("task_id", metavar="ID")
@click.option("--json", is_flag=True, help="Print the task document as JSON.")
@click.option("--utc", is_flag=True, help="Times in UTC in place of this host's zone; JSON has them always so.")
def show_command(task_id: str, *, json: bool, utc: bool) -> None:
    """Show a task: its status and why, its use of the machine, where its log is, its history; why it waits if it does.

    On a terminal of 100 columns or more, CPU and memory over time are drawn.
    """
    connected = client({Server.MONGODB})
    task = connected.get(connected.id_of(task_id))
    if json:
        say_json(as_json(document(task)))
    else:
        from orchestrator.cli.render import card, console  # noqa: PLC0415  the library that draws is slow to import

        waits = why_queued(connected, task) if task.status is INITIAL else ""
        screen = console(sys.stdout)
        series = _series(connected, task) if sys.stdout.isatty() and screen.width >= _WIDE else None
        screen.print(card(task, UTC if utc else None, waits, series))


def _series(connected: Client, task: Task) -> Series | None:
    """What it used over time; a drawing is no reason to fail."""
    try:
        return connected.series(task.id) if task.metrics and task.metrics.series else None
    except (InfrastructureError, SettingsError, UnknownTask) as error:
        say(f"CPU and memory over time cannot be read: {error}", err=True)
        return None


@click.command(
    "list",
    epilog=examples(
        "orchestrator list --status failed --since 2h",
        "orchestrator list --label team=red -o id",
    ),
)
@click.option("--status", type=click.Choice([*map(str, State)]), help="Only tasks with this status.")
@click.option("--cause", type=click.Choice([*map(str, Cause)]), help="Only tasks that ended for this cause.")
@click.option("--image", metavar="IMAGE", help="Only tasks of this image, as it is written in the task.")
@click.option("--label", "-l", multiple=True, metavar="NAME=VALUE", help="Only tasks with this label; may be repeated.")
@click.option(
    "--since", metavar="AGE|TIME", type=Moment(), help="Only tasks that are not older, such as 2h, or a time in ISO 8601."
)
@click.option("--after", metavar="ID", help="Only tasks that follow this one: the last of an earlier list.")
@click.option("--utc", is_flag=True, is_eager=True, help="In --since, a time without a zone is UTC, not of this host.")
@click.option("--limit", type=click.IntRange(1, 10_000), metavar="N", default=50, show_default=True, help="How many at most.")
@click.option(
    "--output", "-o", type=click.Choice([*_FORMS]), default="table", show_default=True, help="id prints an id on each line."
)
@click.option("--json", "output", flag_value="json", help="The same as -o json: task documents without their files and stdin.")
def list_command(
    status: str | None,
    cause: str | None,
    image: str | None,
    label: tuple[str, ...],
    since: datetime | None,
    after: str | None,
    limit: int,
    output: str,
    *,
    utc: bool,  # noqa: ARG001  Moment looks it up
) -> None:
    """List the newest tasks, newest first; of several filters a task has to pass all."""
    connected = client({Server.MONGODB})
    if after is not None:
        after = connected.get(connected.id_of(after)).id
    tasks = connected.list(
        State(status) if status else None,
        limit,
        cause=Cause(cause) if cause else None,
        image=image,
        labels=dict(map(label_of, label)),
        since=since,
        after=after,
    )
    _FORMS[output](tasks)


@click.command(
    "logs",
    epilog=examples(
        "orchestrator logs --follow 3f2a",
        "orchestrator logs --stdout 3f2a > output.txt",
    ),
)
@click.argument("task_id", metavar="ID")
@click.option("--stdout", is_flag=True, help="Only what went to stdout.")
@click.option("--stderr", is_flag=True, help="Only what went to stderr.")
@click.option("--follow", "-f", "follows", is_flag=True, help="Print what it prints while it runs, until it ends.")
@click.option("--tail", metavar="N", type=click.IntRange(min=0), help="Only the last N lines of each stream that is stored.")
@click.option(
    "--since-offset", metavar="N", type=click.IntRange(min=0), default=0, help="Leave out the first N bytes of each stream."
)
@raw_option
def logs_command(
    task_id: str, *, stdout: bool, stderr: bool, follows: bool, tail: int | None, since_offset: int, raw: bool
) -> None:
    """Print the output of a task: its stdout to stdout, its stderr to stderr.

    Byte for byte, but what a terminal would obey is replaced in a terminal. Of a task that has not ended, --follow prints what
    comes. Without it, a sentence on stderr says so, and the output of the last attempt that has ended is printed, if there is
    one.
    """
    if follows and tail is not None:
        raise click.UsageError("--tail cannot be given beside --follow, which begins at --since-offset")
    chosen = {Stream.STDOUT: stdout, Stream.STDERR: stderr}
    streams = [stream for stream in Stream if chosen[stream] or stdout == stderr]
    connected = client({Server.MONGODB, Server.S3, *([Server.REDIS] if follows else [])})
    task = connected.get(connected.id_of(task_id))
    if follows:
        with Teller(Printer(raw=raw), quiet=False, streams=streams) as teller:
            follow(connected.follow(task.id, dict.fromkeys(Stream, since_offset)), teller)
        return
    attempt = None if task.status in TERMINAL else _stored_so_far(task)
    if tail is None:
        print_streams(connected, task.id, streams, raw=raw, attempt=attempt, offset=since_offset)
        return
    for stream in streams:
        print_bytes(last_lines(connected.logs(task.id, stream, since_offset, attempt=attempt), tail), stream, raw=raw)


def last_lines(chunks: Iterable[bytes], number: int) -> Iterator[bytes]:
    """The last lines of a stream; one that is very long is held as a whole."""
    if not number:
        return
    lines: deque[bytes] = deque(maxlen=number)
    begun: list[bytes] = []
    for chunk in chunks:
        *whole, rest = chunk.split(b"\n")
        if whole:
            lines.append(b"".join([*begun, whole[0], b"\n"]))
            lines.extend(line + b"\n" for line in whole[1:])
            begun = []
        begun.append(rest)
    if last := b"".join(begun):
        lines.append(last)
    yield from lines


def _stored_so_far(task: Task) -> int:
    """Say that the output of a task is stored when it ends; the number of an earlier attempt whose output is stored.

    Ends the command when there is none.
    """
    stored = [past.attempt for past in task.attempts if past.logs is not None]
    meanwhile = f"; this is the output of attempt {stored[-1]}" if stored else ""
    say(f"task {task.id} is {task.status}: follow its output with `orchestrator logs -f {task.id}`{meanwhile}", err=True)
    if not stored:
        raise click.exceptions.Exit(FAILED)
    return stored[-1]
