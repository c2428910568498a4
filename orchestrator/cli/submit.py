"""The `submit` command."""

import uuid
from contextlib import suppress

import click

from orchestrator.cli.connect import client
from orchestrator.cli.ending import HANDED_IN, INTERRUPTED, TaskCommand
from orchestrator.cli.flags import OUTPUT, Flags, takes_a_task
from orchestrator.cli.page import examples, option
from orchestrator.cli.terminal import say, say_json
from orchestrator.client import Client
from orchestrator.errors import InfrastructureError, InvalidTask
from orchestrator.task.document import Task
from orchestrator.task.plain import as_json, document
from orchestrator.wiring import Server


@click.command(
    "submit",
    cls=TaskCommand,
    context_settings={"allow_interspersed_args": False},
    epilog=examples(
        "id=$(orchestrator submit --label team=red --retries 2 busybox true)",
        "orchestrator submit --from task.json --json",
    ),
)
@takes_a_task
@option(OUTPUT, "--json", is_flag=True, help="Print the task document in place of the id.")
def submit_command(flags: Flags, *, json: bool) -> None:
    """Hand in a task and print its id. Does not wait for it.

    The flags are those of `docker run`; options after IMAGE belong to the COMMAND.
    """
    connected = client({Server.MONGODB, Server.REDIS})
    task = submit(connected, flags)
    if json:
        say_json(as_json(document(task)))
    else:
        say(task.id)
    warn_if_nobody_works(connected)


def warn_if_nobody_works(client: Client) -> None:
    """Say on stderr that a task waits for a worker to come; nothing where that cannot be known now."""
    with suppress(InfrastructureError):
        if told := client.expect_workers():
            say(f"{told}: the task waits until one does", err=True)


def submit(client: Client, flags: Flags) -> Task:
    """Hand in the task that the flags describe. Raises InvalidTask that names every bad field, and DuplicateTask.

    The database is reached before anything is handed in, so that one who loses patience with it has handed in nothing.
    """
    task_id, request = flags.request()
    task_id = uuid.uuid4().hex if task_id is None else task_id
    try:
        client.check(task_id, request)
        client.reach()
        click.get_current_context().meta[HANDED_IN] = True
        return client.submit(request, task_id)
    except InvalidTask as error:
        raise InvalidTask([flags.as_typed(problem) for problem in error.problems]) from None
    except KeyboardInterrupt:
        if HANDED_IN not in click.get_current_context().meta:
            raise
        say(f"Task {task_id} may have been handed in. Look for it with: orchestrator show {task_id}", err=True)
        raise click.exceptions.Exit(INTERRUPTED) from None
