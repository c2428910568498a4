"""The `cancel` command."""

import click

from orchestrator.cause import Cause
from orchestrator.cli.connect import client
from orchestrator.cli.page import examples
from orchestrator.cli.terminal import say, say_json
from orchestrator.task.document import Task
from orchestrator.task.plain import as_json, document
from orchestrator.wiring import ALL, Server
from statemachine import TERMINAL


@click.command(
    "cancel",
    epilog=examples(
        "orchestrator cancel 3f2a",
        "orchestrator cancel --json 3f2a | jq .status",
    ),
)
@click.argument("task_id", metavar="ID")
@click.option("--json", is_flag=True, help="Print the task document as JSON.")
def cancel_command(task_id: str, *, json: bool) -> None:
    """Ask for a task to be cancelled.

    One that waits never starts; one that runs is ended and keeps its output. A task whose outcome is known stays as it is.
    """
    connected = client(ALL - {Server.S3})
    task = connected.cancel(connected.id_of(task_id))
    if json:
        say_json(as_json(document(task)))
    else:
        say(_told(task))


def _told(task: Task) -> str:
    """What the request has come to so far."""
    if task.cause is Cause.CANCELLED:
        return f"{task.id} is cancelled"
    if task.status in TERMINAL:
        return f"{task.id} had ended already: it is {task.status}"
    return f"cancellation of {task.id} is asked for; it is still {task.status}"
