"""The function that the queue's entries name."""

import signal
import sys
import threading
from functools import cache

from orchestrator import log as logs
from orchestrator.app import Services
from orchestrator.errors import WrongDatabase
from orchestrator.settings.settings import Settings
from orchestrator.wiring import connect


def run_task(task_id: str) -> dict[str, object] | None:
    """Run one task to its end; the job function of every RQ worker.

    Returns what RQ's tools show of the end; None when the task was not brought to its end here.

    The time limit of RQ's own worker, 180 s where a job names none, is lifted: a task has its own, in its document.
    """
    if threading.current_thread() is threading.main_thread():
        signal.alarm(0)
    here = services()
    here.retrier.forever(here.look_again)  # RQ's own worker has nobody else that looks
    if here.halted:
        raise WrongDatabase(here.halted)
    task = here.runner.run(task_id)
    return None if task is None else {"status": task.status, "cause": task.cause, "exit_code": task.exit_code}


@cache
def services() -> Services:
    """The services of this process, from its environment, and its log. Made on first use, so after a fork."""
    settings = Settings.load()
    logs.configure(sys.stderr, secrets=settings.secrets)
    connected = connect(settings)
    connected.prepare()
    connected.look()
    return connected
