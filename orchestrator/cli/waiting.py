"""Why a task that is queued has not begun, as far as that is known to a client."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime

from orchestrator.client import Client
from orchestrator.errors import InfrastructureError, SettingsError
from orchestrator.task.document import Task


def why_queued(client: Client, task: Task) -> str:
    """The reasons, the last attempt's end first; for the queue's part Redis is asked, unless a worker has the task."""
    if task.lease is not None and task.holder and task.lease.expires_at > datetime.now(UTC):
        here = f"worker {task.lease.worker} has taken it and makes its container ready"
    else:
        here = _line(client) or "waits for a worker"
    return "; ".join([*_again(task), here])


def _again(task: Task) -> Iterator[str]:
    """Which attempt comes next, and why."""
    if not task.attempts:
        return
    last, granted = task.attempts[-1], task.request.get("retries")
    failed = [past for past in task.attempts if past.cause is not None and past.cause.rule.is_retried]
    own = last in failed and isinstance(granted, int)
    yield f"retry {len(failed)} of {granted}: {last.message}" if own else f"attempt {task.attempt}: {last.message}"


def _line(client: Client) -> str:
    """That no worker takes the queue's tasks, or that all slots are taken; empty when neither is so, or cannot be known now."""
    with suppress(InfrastructureError, SettingsError):
        if nobody := client.expect_workers():
            return nobody
        taken, slots = client.slots()
        return f"waits: {taken} of {slots} slots are taken" if 0 < slots <= taken else ""
    return ""
