"""The function that the queue's entries name."""

from functools import cache

from orchestrator.connect import connect
from orchestrator.services import Services
from orchestrator.settings import Settings


def run_task(task_id: str) -> None:
    """Run one task to its end; the job function of every RQ worker."""
    services().runner.run(task_id)


@cache
def services() -> Services:
    """The services of this process, from its environment. Made on first use, so after a fork."""
    connected = connect(Settings.load())
    connected.prepare()
    return connected
