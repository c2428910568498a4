"""A worker process whose tasks do not all fit at once."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.client import Client
from tests.support import pace
from tests.support.installation import Installation
from tests.support.servers import Corner
from tests.support.worker_process import until

SLOTS = 2
LARGE = {"limits": {"memory": "400m"}}
SMALL = {"limits": {"memory": "50m"}}


@pytest.fixture
def installation(corner: Corner, tmp_path: Path) -> Iterator[Installation]:
    """A worker with two slots and room for one large task and some small ones."""
    own = {"SPOOL_DIR": str(tmp_path / "spool"), "PULL_POLICY": "never", "CONCURRENCY": str(SLOTS), "MEMORY_BUDGET": "600m"}
    installation = Installation({**corner.environment, **own}, tmp_path)
    installation.start()
    yield installation
    installation.stop()


def test_small_tasks_run_while_a_large_one_waits_for_each_slot(installation: Installation, client: Client) -> None:
    """One that waits for room takes no slot; those that fit run one after another beside the first."""
    first = installation.submit(f"sleep {pace.seconds(60)}", **LARGE)
    until(lambda: installation.document(first)["status"] == "running")
    waiting = [installation.submit("true", **LARGE) for _ in range(SLOTS - 1)]
    for small in [installation.submit("true", **SMALL) for _ in range(3)]:
        assert installation.ended(small)["status"] == "succeeded"
    assert installation.document(first)["status"] == "running"
    held = [installation.document(task_id) for task_id in waiting]
    assert [(document["status"], bool(document.get("lease"))) for document in held] == [("queued", True)] * len(held)
    client.cancel(first)
    assert [installation.ended(task_id)["status"] for task_id in waiting] == ["succeeded"] * len(waiting)
