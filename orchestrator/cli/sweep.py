"""The `sweep` command: what every worker does every few seconds, once and by hand."""

from itertools import chain

import click

from orchestrator.cli.connect import client
from orchestrator.cli.moment import Duration
from orchestrator.cli.page import examples
from orchestrator.cli.terminal import say
from orchestrator.errors import Postponed
from orchestrator.ports import JobInfo
from orchestrator.reconcile.stray_objects import StrayObjects

_LEAST_GRACE = 3600.0
"""Seconds: longer than an upload, or a difference between clocks."""
_LOCK_FOR, _RETAIN_FOR = 60.0, 60.0
_GRACE = Duration(_LEAST_GRACE, "shorter than an hour, in which an object may wait for its task to be stored")


@click.command(
    "sweep",
    epilog=examples(
        "orchestrator sweep --dry-run",
        "orchestrator sweep --objects --dry-run",
    ),
)
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option("--objects", is_flag=True, help="Look through all of object storage, and remove objects without a task.")
@click.option(
    "--object-grace",
    metavar="TIME",
    type=_GRACE,
    default="1d",
    show_default=True,
    help="Leave younger objects alone; 1h at least.",
)
@click.option("--yes", is_flag=True, help="With --objects: do not ask.")
def sweep_command(*, dry_run: bool, objects: bool, object_grace: float, yes: bool) -> None:
    """Mend what is lost or left behind: tasks without a worker, out of line, unpublished; containers without a task.

    Remove what was kept for KEEP_TASKS, KEEP_LOGS or KEEP_ARTIFACTS, for up to a minute; --dry-run names the first 500 of each.

    --objects does nothing of this. It removes objects that have names of logs or artifacts and whose task is unknown to this
    database. If another database has its objects in the same bucket, these are among them.

    A task without a worker is put in line again, for a worker to adopt. One whose engine has no worker is left to workers.
    """
    services = client().services
    services.expect_own_database()

    def put_in_line(task_id: str, engine: str) -> None:
        if engine != services.engine.identity():
            raise Postponed("only a worker can do that, and it will")
        document = services.store.find(task_id) or {}
        services.queue.enqueue(task_id, JobInfo.of(task_id, document, services.deployment))

    sweep, retention = services.sweep(put_in_line), services.retention
    if objects:
        _strays(services.stray_objects(object_grace), dry_run=dry_run, sure=yes)
        return
    for action in chain.from_iterable(
        (sweep.plan(), retention.plan()) if dry_run else (sweep.once(_LOCK_FOR), retention.once(_RETAIN_FOR))
    ):
        say(f"{action.kind} {action.subject}: {action.why}")


def _strays(strays: StrayObjects, *, dry_run: bool, sure: bool) -> None:
    """Tell of them, or remove them: the whole bucket is looked through before anybody is asked, and once more to remove."""
    if dry_run:
        for key in strays.found():
            say(f"remove object {key}: its task is unknown")
        return
    if not sure:
        count, tasks = strays.count()
        click.confirm(f"Remove {count} objects of {tasks} tasks that are unknown to this database?", abort=True)
    for key in strays.remove():
        say(f"remove object {key}: its task is unknown")
