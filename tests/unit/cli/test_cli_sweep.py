"""`sweep` by hand says what it did, and nothing that is left to workers."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from orchestrator.cli import main
from orchestrator.client import Client
from tests.support.faults import Fault, Killed, Process, When
from tests.support.world import World


def test_a_task_whose_engine_has_no_worker_is_told_of_but_left_to_workers(tmp_path: Path) -> None:
    """Put in line it would come to nothing: it is bound to an engine, and so it is none of the next worker's business."""
    world = World(tmp_path, hosts=("a", "b"))
    task = world.client.submit({"image": "busybox"})
    world.queue.take()
    with pytest.raises(Killed):
        world.worker(Process([Fault("wait", 1, When.BEFORE, Killed())]), host="a").run(task.id)
    world.clock.advance(world.settings.engine_patience * 2)

    def swept(host: str, *options: str) -> str:
        client = Client(world.process(host=host))
        return CliRunner().invoke(main, ["sweep", *options], obj=client, catch_exceptions=False).stdout

    assert swept("b", "--dry-run").startswith(f"take over {task.id}: 'running', and its engine has had no worker for")
    assert swept("b") == ""
    assert world.queue.take() is None
    assert swept("a").startswith(f"adopt {task.id}: 'running', and its worker has not been heard of for")
    assert world.queue.take() == task.id
