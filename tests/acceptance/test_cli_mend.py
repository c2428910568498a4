"""The commands that end and mend, `cancel` and `sweep`, against real servers and a real engine."""

import json
import subprocess
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from orchestrator.adapters.redis.client import redis_client
from orchestrator.client import Client
from orchestrator.execution.naming import container_name
from orchestrator.task.labels import ATTEMPT, DEPLOYMENT, TASK
from tests.support import pace
from tests.support.containers import IMAGE, library
from tests.support.installation import Installation
from tests.support.planted import plant
from tests.support.up import call
from tests.support.worker_process import until

Command = Callable[..., "subprocess.CompletedProcess[bytes]"]
SOON = "0.001"


@pytest.fixture
def orchestrator(installation: Installation, tmp_path: Path) -> Command:
    """The command line there."""
    return lambda *arguments, **more: call(tmp_path, *arguments, **installation.environment, **more)


def in_line(installation: Installation) -> int:
    """How many tasks stand in line."""
    with redis_client(installation.settings) as redis:
        return redis.llen(f"rq:queue:{installation.settings.queue}")


def test_a_task_that_waits_is_cancelled_at_once(orchestrator: Command, client: Client) -> None:
    """Without any worker. The command says if the task is cancelled already, or unknown."""
    assert orchestrator("submit", "--id", "waits", IMAGE, "true").returncode == 0
    done = orchestrator("cancel", "waits")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"waits is cancelled\n", b"")
    task = client.get("waits")
    assert (task.cause, task.attempt, task.message) == ("cancelled", 0, "the task was cancelled before its program ran")
    again = orchestrator("cancel", "--json", "waits")
    assert (again.returncode, json.loads(again.stdout)["cause"]) == (0, "cancelled")
    unknown = orchestrator("cancel", "nobody")
    assert (unknown.returncode, unknown.stdout, unknown.stderr) == (1, b"", b"Error: there is no task 'nobody'\n")


def test_a_task_that_runs_is_ended_by_its_worker_and_keeps_its_output(
    orchestrator: Command, installation: Installation, client: Client
) -> None:
    """The command returns at once; a client that watches sees the end."""
    installation.start()
    assert orchestrator("submit", "--id", "runs", IMAGE, "sh", "-c", f"echo begun; sleep {pace.seconds(60)}").returncode == 0
    until(lambda: installation.document("runs")["status"] == "running")
    until(lambda: _logged("runs"))
    assert orchestrator("cancel", "runs").stdout == b"cancellation of runs is asked for; it is still running\n"
    assert [*client.watch("runs")][-1].cause == "cancelled"
    assert orchestrator("logs", "runs").stdout == b"begun\n"


def _logged(task_id: str) -> bytes:
    with library() as engine:
        return engine.containers.get(container_name(task_id, 1)).logs()


def test_a_sweep_by_hand_mends_what_a_dry_run_told(orchestrator: Command, installation: Installation, client: Client) -> None:
    """A task that is not in the queue, and a container without a task. A second sweep has nothing to do."""
    made = datetime.now(UTC) - timedelta(minutes=1)
    client.services.store.insert({"_id": "lost", "status": "queued", "image": IMAGE, "created_at": made})
    unknown = f"unknown{uuid.uuid4().hex}"
    labels = {TASK: unknown, ATTEMPT: "1", DEPLOYMENT: client.services.deployment}
    with library() as engine:
        engine.containers.create(IMAGE, "true", name=container_name(unknown, 1), labels=labels)
        told = orchestrator("sweep", "--dry-run", ORPHAN_GRACE=SOON)
        assert told.stderr == b""
        assert told.stdout.decode().splitlines() == [
            "enqueue lost: queued, but not in line",
            f"remove {container_name(unknown, 1)}: its task is unknown",
        ]
        assert in_line(installation) == 0
        assert len(_containers(engine, unknown)) == 1
        done = orchestrator("sweep", ORPHAN_GRACE=SOON)
        assert (done.returncode, done.stdout, done.stderr) == (0, told.stdout, b"")
        assert _containers(engine, unknown) == []
    assert in_line(installation) == 1
    assert orchestrator("sweep", ORPHAN_GRACE=SOON).stdout == b""
    assert in_line(installation) == 1


def _containers(engine: object, task_id: str) -> list[object]:
    return engine.containers.list(all=True, ignore_removed=True, filters={"label": f"{TASK}={task_id}"})


def test_a_sweep_by_hand_runs_nothing_that_somebody_planted_in_redis(
    orchestrator: Command, installation: Installation, client: Client, tmp_path: Path
) -> None:
    """It looks through the line, with the rights of its caller."""
    made = datetime.now(UTC) - timedelta(minutes=1)
    client.services.store.insert({"_id": "lost", "status": "queued", "image": IMAGE, "created_at": made})
    with redis_client(installation.settings) as redis:
        plant(redis, installation.settings.queue, tmp_path / "mark")
    told = orchestrator("sweep", "--dry-run")
    assert (told.returncode, told.stdout) == (0, b"enqueue lost: queued, but not in line\n")
    assert orchestrator("sweep").returncode == 0
    assert not (tmp_path / "mark").exists()
