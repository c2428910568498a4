"""Two installations on one Redis and one queue, each with a database and workers of its own."""

import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from attrs import frozen

from orchestrator.adapters.mongo.client import mongo_client
from orchestrator.adapters.redis.client import redis_client
from orchestrator.client import Client
from orchestrator.wiring import connect
from tests.support.containers import IMAGE
from tests.support.installation import Installation
from tests.support.servers import Corner
from tests.support.worker_process import until

RUNS = 8
BEFORE = 40
"""Jobs of an installation without a worker that stand in line all the time."""


@frozen
class Party:
    """One of those who share the queue."""

    installation: Installation
    client: Client


@contextmanager
def party(environment: Mapping[str, str], folder: Path, name: str) -> Iterator[Party]:
    """An installation with a database of its own, and without a worker."""
    own = {**environment, "MONGO_DB_NAME": name, "SPOOL_DIR": str(folder / f"spool-{name}"), "PULL_POLICY": "never"}
    installation = Installation(own, folder)
    services = connect(installation.settings)
    services.prepare()
    with closing(services.store), mongo_client(installation.settings) as mongo:
        yield Party(installation, Client(services))
        installation.stop()
        mongo.drop_database(name)


@pytest.fixture
def parties(corner: Corner, tmp_path: Path) -> Iterator[tuple[Party, Party, Party]]:
    """Three of them."""
    names = [f"test-{uuid.uuid4().hex[:8]}" for _ in range(3)]
    folders = [tmp_path / name for name in names]
    for folder in folders:
        folder.mkdir()
    first, second, third = (party(corner.environment, *pair) for pair in zip(folders, names, strict=True))
    with first as one, second as two, third as three:
        yield one, two, three


def timed(of: Party) -> float:
    """Seconds for some tasks one after the other, half of them enqueued by somebody who does not say whose they are."""
    begun = time.monotonic()
    for number in range(RUNS):
        request = {"image": IMAGE, "command": ["true"]}
        task_id = of.installation.submit(["true"]) if number % 2 else of.client.submit(request).id
        assert [*of.client.watch(task_id)][-1].status == "succeeded"
    return time.monotonic() - begun


def test_neither_of_two_installations_on_one_queue_holds_the_other_up(parties: tuple[Party, Party, Party]) -> None:
    """With the jobs of a third one in line that has no worker; those stay there, and each task is run by its own worker."""
    one, two, three = parties
    one.installation.start(SWEEP_INTERVAL="3600")
    timed(one)
    alone = timed(one)
    for number in range(BEFORE):
        three.installation.submit(["true"]) if number % 2 else three.client.submit({"image": IMAGE, "command": ["true"]})
    two.installation.start(SWEEP_INTERVAL="3600")
    until(lambda: "jobs at once" in (two.installation.folder / "worker-0.log").read_text())
    shared = timed(one), timed(two)
    assert max(shared) < 2 * alone, f"{alone:.1f} s alone, {shared} s shared"
    with redis_client(three.installation.settings) as redis:
        until(lambda: redis.llen(f"rq:queue:{three.installation.settings.queue}") == BEFORE)
    three.installation.start()
    until(lambda: len(three.client.list(limit=BEFORE)) == BEFORE, within=120)  # half of them are known once they begin
    for task in three.client.list(limit=BEFORE):
        assert [*three.client.watch(task.id)][-1].status == "succeeded"
        assert three.client.get(task.id).attempt == 1


def test_a_task_in_line_of_another_installation_does_not_hide_one_with_its_id(parties: tuple[Party, Party, Party]) -> None:
    """The sweep looks for its own."""
    one, two, _ = parties
    two.client.submit({"image": IMAGE, "command": ["true"]}, "same")
    one.client.services.store.insert({"_id": "same", "status": "queued", "image": IMAGE, "created_at": None})
    sweep = one.client.services.sweep(lambda *_: None)
    assert [(action.kind, action.subject) for action in sweep.plan()] == [("enqueue", "same")]
    sweep.once(60)
    assert sweep.plan() == []
