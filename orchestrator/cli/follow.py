"""The `run` command: hands in a task, follows it to its end and ends as its program did."""

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import click

from orchestrator.cli.connect import client
from orchestrator.cli.ending import INTERRUPTED, OWN_ERROR, TaskCommand
from orchestrator.cli.flags import OUTPUT, Flags, takes_a_task
from orchestrator.cli.output import print_output, raw_option
from orchestrator.cli.page import examples, option
from orchestrator.cli.plain import as_json, document
from orchestrator.cli.submit import submit, warn_if_nobody_works
from orchestrator.cli.terminal import say, say_json
from orchestrator.client import Client
from orchestrator.errors import InfrastructureError
from orchestrator.task.document import Task
from orchestrator.task.event import Event
from statemachine import State

TIMED_OUT = 124
Tell = Callable[[Event], None]


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
    """Run a program as a task and print what it prints, at its end.

    The flags are those of `docker run`; options after IMAGE belong to the COMMAND. The exit code is the program's own, 124
    when it ran out of time, and 125 when it was not the program that went wrong.
    """
    connected = client()
    task = submit(connected, flags)
    task = _follow(connected, task, quiet=quiet)
    if json:
        say_json(as_json(document(task)))
    else:
        print_output(connected, task, raw=raw)
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


def _follow(client: Client, task: Task, *, quiet: bool) -> Task:
    try:
        if not quiet:
            warn_if_nobody_works(client)
        with _progress(quiet=quiet) as tell:
            for event in client.watch(task.id):
                tell(event)
    except KeyboardInterrupt:
        say(f"Task {task.id} goes on. Look at it with: orchestrator show {task.id}", err=True)
        say(f"End it with: orchestrator cancel {task.id}", err=True)
        raise click.exceptions.Exit(INTERRUPTED) from None
    except InfrastructureError:
        say(f"Lost sight of task {task.id}. Look at it with: orchestrator show {task.id}", err=True)
        raise
    return client.get(task.id)


def _progress(*, quiet: bool) -> AbstractContextManager[Tell]:
    """Only on a terminal: elsewhere what the program writes to stderr stands alone."""
    return _live() if sys.stderr.isatty() and not quiet else _silent()


@contextmanager
def _silent() -> Iterator[Tell]:
    yield lambda _: None


@contextmanager
def _live() -> Iterator[Tell]:
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn  # noqa: PLC0415  the library that draws is slow to import

    from orchestrator.cli.render import console  # noqa: PLC0415  the same

    columns = SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
    with Progress(*columns, console=console(sys.stderr), transient=True) as progress:
        row = progress.add_task("submitted")
        yield lambda event: progress.update(row, description=_phrase(event))


def _phrase(event: Event) -> str:
    return "queued, waiting for a worker" if event.status is State.QUEUED else str(event.status)
