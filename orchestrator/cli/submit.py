"""The `submit` command."""

import click

from orchestrator.cli.connect import client
from orchestrator.cli.ending import TaskCommand
from orchestrator.cli.flags import Flags, takes_a_task
from orchestrator.cli.plain import as_json, document
from orchestrator.cli.terminal import say, say_json
from orchestrator.client import Client
from orchestrator.task.document import Task
from orchestrator.wiring import Server


@click.command("submit", cls=TaskCommand, context_settings={"allow_interspersed_args": False})
@takes_a_task
@click.option("--json", is_flag=True, help="Print the task document in place of the id.")
def submit_command(flags: Flags, *, json: bool) -> None:
    """Hand in a task and print its id. Does not wait for it.

    The flags are those of `docker run`; options after IMAGE belong to the COMMAND.
    """
    task = submit(client({Server.MONGODB, Server.REDIS}), flags)
    if json:
        say_json(as_json(document(task)))
    else:
        say(task.id)


def submit(client: Client, flags: Flags) -> Task:
    """Hand in the task that the flags describe. Raises InvalidTask that names every bad field, and DuplicateTask."""
    task_id, request = flags.request()
    return client.submit(request, task_id)
