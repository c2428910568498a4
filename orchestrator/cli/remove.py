"""The `rm` command: delete tasks by their ids, or those that a search finds."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from functools import partial

import click
from attrs import frozen

from orchestrator.cause import Cause
from orchestrator.cli.connect import client
from orchestrator.cli.ending import FAILED
from orchestrator.cli.flags import label_of
from orchestrator.cli.moment import Moment
from orchestrator.cli.page import examples
from orchestrator.cli.terminal import say
from orchestrator.client import Client
from orchestrator.errors import AmbiguousId, NotEnded, NotSettled, UnknownTask
from orchestrator.task.document import Task
from orchestrator.wiring import Server
from statemachine import TERMINAL, State

_PAGE = 1000
"""Tasks that are looked up at once."""
_PATIENCE, _PAUSE = 10.0, 0.2
"""Seconds that a task may take to be settled, and between two tries: its end is told before its container is removed."""


@frozen
class _Wanted:
    """Which tasks are to be deleted; None and empty mean that it does not matter."""

    status: str | None
    cause: str | None
    image: str | None
    label: tuple[str, ...]
    older_than: datetime | None

    def __bool__(self) -> bool:
        return any((self.status, self.cause, self.image, self.label, self.older_than))

    def tasks(self, connected: Client) -> Iterator[Task]:
        """The ended ones of them."""
        for state in [State(self.status)] if self.status else sorted(TERMINAL):
            yield from _pages(
                partial(
                    connected.list,
                    state,
                    _PAGE,
                    cause=Cause(self.cause) if self.cause else None,
                    image=self.image,
                    labels=dict(map(label_of, self.label)),
                    until=self.older_than,
                )
            )


def _pages(listed: Callable[..., Sequence[Task]]) -> Iterator[Task]:
    """All pages of a list."""
    page = listed()
    while page:
        yield from page
        page = listed(after=page[-1].id)


@click.command(
    "rm",
    epilog=examples(
        "orchestrator rm 3f2a 77b0",
        "orchestrator rm --older-than 7d --status failed --dry-run",
    ),
)
@click.argument("task_ids", metavar="[ID]...", nargs=-1)
@click.option("--older-than", metavar="AGE|TIME", type=Moment(), help="Ended tasks that were created before, such as 7d.")
@click.option("--status", type=click.Choice(sorted(map(str, TERMINAL))), help="Tasks with this status.")
@click.option("--cause", type=click.Choice([*map(str, Cause)]), help="Tasks that ended for this cause.")
@click.option("--image", metavar="IMAGE", help="Tasks of this image, as it is written in the task.")
@click.option("--label", "-l", multiple=True, metavar="NAME=VALUE", help="Tasks with this label; may be repeated.")
@click.option("--utc", is_flag=True, is_eager=True, help="In --older-than, a time without a zone is UTC, not of this host.")
@click.option("--dry-run", is_flag=True, help="Only print the ids of the tasks that would be deleted.")
def rm_command(
    task_ids: tuple[str, ...],
    older_than: datetime | None,
    status: str | None,
    cause: str | None,
    image: str | None,
    label: tuple[str, ...],
    *,
    utc: bool,  # noqa: ARG001  Moment looks it up
    dry_run: bool,
) -> None:
    """Delete ended tasks with their logs and artifacts, and print the ids of these tasks.

    Either name tasks by their IDs, or give filters; of several filters a task has to pass all. A task that has not ended is
    refused when it is named, and passed over by filters.
    """
    wanted = _Wanted(status, cause, image, label, older_than)
    if bool(task_ids) == bool(wanted):
        raise click.UsageError("give either IDs or filters, such as --older-than 7d" if wanted else "give an ID, or a filter")
    connected = client({Server.MONGODB, Server.REDIS, Server.S3})
    if wanted:
        _by_search(connected, wanted, dry_run=dry_run)
        return
    deleted = [_by_id(connected, task_id, dry_run=dry_run) for task_id in dict.fromkeys(task_ids)]
    if not all(deleted):
        raise click.exceptions.Exit(FAILED)


def _by_search(connected: Client, wanted: _Wanted, *, dry_run: bool) -> None:
    found = [*wanted.tasks(connected)]
    ended: Iterable[str] = (task.id for task in found if task.settled) if dry_run else connected.delete_all(found)
    done = 0
    for task_id in ended:
        done += 1
        say(task_id)
    if done < len(found):
        say(f"{len(found) - done} tasks are left: their workers have not released all that they had", err=True)


def _by_id(connected: Client, given: str, *, dry_run: bool) -> bool:
    """Whether it is deleted; if not, stderr says why, and the other ones go on."""
    try:
        task_id = connected.id_of(given)
        if dry_run:
            connected.expect_removable(task_id)
        else:
            _delete(connected, task_id)
    except (NotEnded, UnknownTask, AmbiguousId) as error:
        say(f"Error: {error}", err=True)
        return False
    say(task_id)
    return True


def _delete(connected: Client, task_id: str) -> None:
    ends = time.monotonic() + _PATIENCE
    while True:
        try:
            return connected.delete(task_id)
        except NotSettled:
            if time.monotonic() > ends:
                raise
            time.sleep(_PAUSE)
