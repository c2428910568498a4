"""The `sweep` command: what every worker does every few seconds, once and by hand."""

from itertools import chain

import click

from orchestrator.cli.connect import client
from orchestrator.cli.page import examples
from orchestrator.cli.terminal import say
from orchestrator.errors import Postponed
from orchestrator.ports import JobInfo

_LOCK_FOR, _RETAIN_FOR = 60.0, 60.0


@click.command(
    "sweep",
    epilog=examples(
        "orchestrator sweep --dry-run",
        "orchestrator sweep",
    ),
)
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
def sweep_command(*, dry_run: bool) -> None:
    """Mend what is lost or left behind: tasks without a worker, out of line, unpublished; containers without a task.

    Remove what was kept for KEEP_TASKS, KEEP_LOGS or KEEP_ARTIFACTS, for up to a minute; --dry-run names the first 500 of each.

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
    for action in chain.from_iterable(
        (sweep.plan(), retention.plan()) if dry_run else (sweep.once(_LOCK_FOR), retention.once(_RETAIN_FOR))
    ):
        say(f"{action.kind} {action.subject}: {action.why}")
