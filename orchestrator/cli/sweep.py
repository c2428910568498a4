"""The `sweep` command: what every worker does every few seconds, once and by hand."""

import click

from orchestrator.cli.connect import client

_LOCK_FOR = 60.0


@click.command("sweep")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
def sweep_command(*, dry_run: bool) -> None:
    """Mend what is lost or left behind: tasks without a worker, out of line, unpublished; containers without a task.

    A task without a worker is put in line again, for a worker to adopt.
    """
    services = client().services
    sweep = services.sweep(lambda task_id, _: services.queue.enqueue(task_id))
    for action in sweep.plan() if dry_run else sweep.once(_LOCK_FOR):
        click.echo(f"{action.kind} {action.subject}: {action.why}")
