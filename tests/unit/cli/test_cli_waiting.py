"""`show` of a queued task says why it waits."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from attrs import evolve

from orchestrator.cause import Cause
from orchestrator.cli.waiting import why_queued
from orchestrator.client import Client
from orchestrator.errors import InfrastructureError
from orchestrator.ports import WorkerRecord
from orchestrator.task.document import Task
from orchestrator.task.values import Attempt, Lease
from statemachine import State
from tests.support.tasks import BEGAN, finished
from tests.unit.cli.command_line import CommandLine


class _Away:
    """A queue whose server does not answer."""

    def workers(self) -> int:
        """Nobody knows."""
        raise InfrastructureError("redis", "away")


def waiting(*causes: Cause, retries: object = 3, lease: Lease | None = None) -> Task:
    """A task that is queued after attempts that ended for these causes."""
    past = [
        Attempt(number, BEGAN, BEGAN, None, cause, f"because of {cause}", None, None) for number, cause in enumerate(causes, 1)
    ]
    request = {"image": "busybox", "retries": retries}
    return evolve(finished(), status=State.QUEUED, request=request, attempt=len(past) + 1, attempts=tuple(past), lease=lease)


def test_without_a_worker_that_is_the_reason(tmp_path: Path) -> None:
    """It is said beside the status, and for a task that does not wait nothing is."""
    call = CommandLine(tmp_path, worker=False)
    call("submit", "--id", "mine", "busybox", "true")
    shown = call("show", "mine").stdout
    assert "no worker takes tasks from queue 'default' now" in shown
    call.world.worker().run("mine")
    assert "waits" not in call("show", "mine").stdout


@pytest.mark.parametrize(
    ("task", "reason"),
    [
        (waiting(), "waits for a worker"),
        (waiting(Cause.EXIT), "retry 1 of 3: because of exit; waits for a worker"),
        (waiting(Cause.EXIT, Cause.INFRASTRUCTURE, Cause.OOM), "retry 2 of 3: because of oom; waits for a worker"),
        (waiting(Cause.EXIT, Cause.INFRASTRUCTURE), "attempt 3: because of infrastructure; waits for a worker"),
        (waiting(Cause.EXIT, retries="odd"), "attempt 2: because of exit; waits for a worker"),
        (
            waiting(lease=Lease("w7", "token", datetime.now(UTC) + timedelta(hours=1))),
            "worker w7 has taken it and makes its container ready",
        ),
        (waiting(lease=Lease("w7", "token", BEGAN)), "waits for a worker"),
    ],
)
def test_what_the_document_says_is_told(task: Task, reason: str, tmp_path: Path) -> None:
    """Why there is another attempt, and whether a worker has the task already."""
    assert why_queued(CommandLine(tmp_path).client, task) == reason


def test_a_queue_that_cannot_be_asked_is_no_reason_to_fail(tmp_path: Path) -> None:
    """The document is shown all the same."""
    world = CommandLine(tmp_path, worker=False).world
    assert why_queued(Client(evolve(world.services, queue=_Away())), waiting()) == "waits for a worker"


class _Told:
    """A queue whose workers hold so many tasks, each of so many slots."""

    def __init__(self, *workers: tuple[int, int]) -> None:
        self._workers = workers

    def workers(self) -> int:
        """All of them."""
        return len(self._workers)

    def records(self) -> list[WorkerRecord]:
        """What each told."""
        return [WorkerRecord("w", "h", 7, "e", slots, ("t",) * held, "busy", BEGAN, BEGAN) for held, slots in self._workers]


@pytest.mark.parametrize(
    ("workers", "words"),
    [
        ([(3, 3), (1, 1)], "waits: 4 of 4 slots are taken"),
        ([(3, 3), (0, 1)], "waits for a worker"),
        ([(0, 0)], "waits for a worker"),
    ],
)
def test_that_all_slots_are_taken_is_the_reason(workers: list[tuple[int, int]], words: str, tmp_path: Path) -> None:
    """As the workers last told; one that tells of no slots has none to wait for."""
    world = CommandLine(tmp_path, worker=False).world
    assert why_queued(Client(evolve(world.services, queue=_Told(*workers))), waiting()) == words
