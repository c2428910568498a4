"""On real servers: somebody deletes the document of a running task and submits its id again, with another program."""

import signal
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.ports import Phase, Stream
from statemachine import State
from tests.support import pace
from tests.support.fault_site import Site
from tests.support.fault_wait import until
from tests.support.pace import IMAGE
from tests.support.servers import Corner

OLD = {"image": IMAGE, "command": "echo OLD; sleep 600", "files": {"f": "old\n"}, "artifacts": ["."]}
NEW = {
    "image": IMAGE,
    "command": "echo NEW; cat /task/f; ls /out; echo kept >/out/a",
    "files": {"f": "new\n"},
    "artifacts": ["."],
}


@pytest.fixture
def site(corner: Corner, tmp_path: Path) -> Iterator[Site]:
    """Shared servers, the host's engine, and no worker yet."""
    with Site(corner.environment, tmp_path) as site:
        yield site


@pytest.mark.parametrize("killed", [True, False], ids=["its worker is killed", "its worker lives"])
def test_a_task_has_nothing_of_an_earlier_one_of_its_id(site: Site, *, killed: bool) -> None:
    """Container, files, /out and output are its own, it is run by the first attempt, and the earlier program is ended."""
    task_id = uuid.uuid4().hex
    site.orphans.append(task_id)
    worker = site.worker("worker")
    site.client.submit(OLD, task_id)
    site.reaches(task_id, "running")
    name = f"orchestrator-{task_id}-1"
    until(lambda: site.services.engine.inspect(name).phase is Phase.RUNNING)
    if killed:
        worker.signal(signal.SIGKILL)
        worker.dead()
    site.mongo[site.settings.mongo_db_name]["tasks"].delete_one({"_id": task_id})
    began = time.monotonic()
    site.client.submit(NEW, task_id)
    if killed:
        site.worker("heir")
    site.ended([task_id])
    task = site.client.get(task_id)
    assert (task.status, task.attempt) == (State.SUCCEEDED, 1), task.message
    assert b"".join(site.client.logs(task_id, Stream.STDOUT)) == b"NEW\nnew\n"
    assert b"".join(site.client.artifact(task_id, "a")) == b"kept\n"
    until(lambda: not site.containers(task_id) and not site.spooled())
    assert time.monotonic() - began < pace.seconds(60)
