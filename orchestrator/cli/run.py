"""The `run` command: hands in a task, follows it to its end and ends as its program did."""

import contextlib
import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import NoReturn, Self

import click

from orchestrator.cli.connect import client
from orchestrator.cli.ending import INTERRUPTED, OWN_ERROR, TaskCommand
from orchestrator.cli.flags import OUTPUT, Flags, takes_a_task
from orchestrator.cli.output import Printer, raw_option
from orchestrator.cli.page import examples, option
from orchestrator.cli.submit import submit, warn_if_nobody_works
from orchestrator.cli.terminal import say, say_json
from orchestrator.client import Client
from orchestrator.errors import InfrastructureError
from orchestrator.output.following import Missed
from orchestrator.ports import Piece, Point, Stream
from orchestrator.task.document import Task
from orchestrator.task.event import Event
from orchestrator.task.plain import as_json, document
from statemachine import State

TIMED_OUT = 124
_SECOND_THOUGHTS = 3.0
"""Seconds in which a second Ctrl-C cancels the task."""


@click.command(
    "run",
    cls=TaskCommand,
    context_settings={"allow_interspersed_args": False},
    epilog=examples(
        "orchestrator run --memory 64m --timeout 5s busybox sh -c 'echo hello; exit 3'",
        "orchestrator run -i --mount-file sum.awk busybox awk -f /task/sum.awk < numbers.txt",
    ),
)
@takes_a_task
@option(OUTPUT, "--quiet", "-q", is_flag=True, help="Nothing on stderr but what the program writes.")
@option(OUTPUT, "--json", is_flag=True, help="Print the final task document on stdout and nothing else.")
@raw_option
def run_command(flags: Flags, *, quiet: bool, json: bool, raw: bool) -> None:
    """Run a program as a task and print what it prints, while it runs.

    The flags are those of `docker run`; options after IMAGE belong to the COMMAND. The exit code is the program's own, 124
    when it ran out of time, and 125 when it was not the program that went wrong.
    """
    connected = client()
    task = submit(connected, flags)
    task = _follow(connected, task, Teller(None if json else Printer(raw=raw), quiet=quiet))
    if json:
        say_json(as_json(document(task)))
    if not quiet or exit_code(task) == OWN_ERROR:
        from orchestrator.cli.render import console, summary  # noqa: PLC0415  the library that draws is slow to import

        console(sys.stderr).print(summary(task))
    click.get_current_context().exit(exit_code(task))


def exit_code(task: Task) -> int:
    """What `docker run` would end with: the program's own code, 124 for timed out, 125 otherwise."""
    if task.status is State.TIMED_OUT:
        return TIMED_OUT
    is_own = task.cause is None or task.cause.rule.keeps_exit_code
    return task.exit_code if is_own and task.exit_code is not None else OWN_ERROR


def _follow(client: Client, task: Task, tell: "Teller") -> Task:
    try:
        with tell:
            if not tell.quiet:
                warn_if_nobody_works(client)
            follow(client.follow(task.id) if tell.printer else client.watch(task.id), tell)
    except KeyboardInterrupt:
        _detach(client, task)
    except InfrastructureError:
        say(f"Lost sight of task {task.id}. Look at it with: orchestrator show {task.id}", err=True)
        raise
    return client.get(task.id)


def _detach(client: Client, task: Task) -> NoReturn:
    """Leave the task alone, unless a person asks a second time."""
    say(f"Task {task.id} goes on. Follow it with: orchestrator logs -f {task.id}", err=True)
    say(f"Cancel it with: orchestrator cancel {task.id}", err=True)
    if sys.stdin.isatty() and sys.stderr.isatty():
        say(f"Ctrl-C within {_SECOND_THOUGHTS:.0f} s cancels it now.", err=True)
        try:
            time.sleep(_SECOND_THOUGHTS)
        except KeyboardInterrupt:
            client.cancel(task.id)
            say(f"Task {task.id} is to be cancelled.", err=True)
    raise click.exceptions.Exit(INTERRUPTED)


def follow(items: Iterable[Piece | Missed | Point | Event], tell: "Teller") -> None:
    """Print the output as it comes, and tell of events in a line that goes when the program speaks."""
    attempt = 0
    for item in items:
        match item:
            case Piece():
                if attempt and item.attempt > attempt:
                    tell.note(f"attempt {item.attempt} begins, and with it the output")
                attempt = item.attempt
                tell.output(item.stream, item.data)
            case Missed():
                tell.note(f"{item.size} bytes of {item.stream} and what comes after follow at the end, from the stored log")
            case Event():
                tell.event(item)


class Teller:
    """What is seen of a task: its output, and what is said of it on stderr."""

    def __init__(self, printer: Printer | None, *, quiet: bool, streams: Collection[Stream] = tuple(Stream)) -> None:
        self.printer = printer
        self.quiet = quiet
        self._streams = streams
        self._progress = contextlib.ExitStack()
        self._update: Callable[[str], None] = lambda _: None

    def __enter__(self) -> Self:
        """Only on a terminal: elsewhere what the program writes to stderr stands alone."""
        if sys.stderr.isatty() and not self.quiet:
            self._update = self._progress.enter_context(_live())
        return self

    def __exit__(self, *raised: object) -> None:
        self._progress.close()
        if self.printer:
            self.printer.end()

    def event(self, event: Event) -> None:
        """The task has another state."""
        self._update("queued, waiting for a worker" if event.status is State.QUEUED else str(event.status))

    def output(self, stream: Stream, data: bytes) -> None:
        """The program has written something."""
        if self.printer and stream in self._streams:
            self._update = lambda _: None
            self._progress.close()
            self.printer.write(stream, data)

    def note(self, text: str) -> None:
        """A line about the output."""
        if not self.quiet and sys.stderr.isatty():
            self._progress.close()
            say(text, err=True)


@contextmanager
def _live() -> Iterator[Callable[[str], None]]:
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn  # noqa: PLC0415  the library that draws is slow to import

    from orchestrator.cli.render import console  # noqa: PLC0415  the same

    columns = SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
    with Progress(*columns, console=console(sys.stderr), transient=True) as progress:
        row = progress.add_task("submitted")
        yield lambda text: progress.update(row, description=text)
