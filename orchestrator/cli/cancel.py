"""The `cancel` command."""

import click

from orchestrator.cli.connect import client
from orchestrator.cli.plain import as_json, document
from orchestrator.cli.terminal import say, say_json
from orchestrator.wiring import ALL, Server


@click.command("cancel")
@click.argument("task_id", metavar="ID")
@click.option("--json", is_flag=True, help="Print the task document as JSON.")
def cancel_command(task_id: str, *, json: bool) -> None:
    """Ask for a task to be cancelled.

    One that waits never starts; one that runs is ended and keeps its output. A task whose outcome is known stays as it is.
    """
    task = client(ALL - {Server.S3}).cancel(task_id)
    if json:
        say_json(as_json(document(task)))
    else:
        say(f"{task.id} is {task.status}")
