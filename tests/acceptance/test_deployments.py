"""On real servers: a copy of the database, an empty one, and an engine whose id another machine has cost no program."""

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.errors import ContainerMissing
from orchestrator.ports import Phase
from statemachine import State
from tests.support.fault_site import Site
from tests.support.fault_wait import until
from tests.support.pace import IMAGE
from tests.support.restored import copy_of, restore
from tests.support.servers import Corner

LONG = {"image": IMAGE, "command": "echo begun; sleep 600", "limits": {"timeout": 900}}
GATED = {"image": IMAGE, "command": "while test ! -e /tmp/go; do sleep 0.1; done; echo done", "limits": {"timeout": 900}}
QUICK = {"SWEEP_INTERVAL": "0.2", "ORPHAN_GRACE": "0.1", "LEASE_TTL": "2"}


@pytest.fixture
def site(corner: Corner, tmp_path: Path) -> Iterator[Site]:
    """Shared servers, the host's engine, and no worker yet."""
    with Site({**corner.environment, **QUICK}, tmp_path) as site:
        yield site


@pytest.fixture
def copy(site: Site) -> Iterator[dict[str, str]]:
    """The settings of a copy's workers."""
    with copy_of(site) as settings:
        yield settings


def running(site: Site, task_id: str, request: dict[str, object]) -> str:
    """Hand in a task and wait until its program runs; the name of its container."""
    site.orphans.append(task_id)
    site.client.submit(request, task_id)
    site.reaches(task_id, "running")
    name = f"orchestrator-{task_id}-1"
    until(lambda: site.services.engine.inspect(name).phase is Phase.RUNNING)
    return name


def command(site: Site, *arguments: str, exit_code: int = 0, **environment: str) -> str:
    """The output and the exit code of a command of the operator."""
    ran = subprocess.run(
        [sys.executable, "-m", "orchestrator", *arguments],
        env={**os.environ, **site.environment, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == exit_code, ran.stdout + ran.stderr
    return ran.stdout + ran.stderr


def runs_on(site: Site, name: str) -> bool:
    """Whether the container is there and its program runs."""
    try:
        return site.services.engine.inspect(name).phase is Phase.RUNNING
    except ContainerMissing:
        return False


def test_a_copy_of_the_database_touches_nothing_until_it_is_told_to_be_a_new_deployment(
    site: Site, copy: dict[str, str]
) -> None:
    """Neither tasks that the copy knows nor tasks that began later.

    The command says why, and then makes the copy a new deployment.
    """
    site.worker("live")
    known = running(site, uuid.uuid4().hex, GATED)
    restore(site, copy["MONGO_DB_NAME"])
    unknown = running(site, uuid.uuid4().hex, GATED)
    copied = site.worker("copy", **copy)
    copied.says("the database is a copy")
    assert "orchestrator deployment new" in command(site, "deployment", **copy)
    assert "the database is a copy" in command(site, "sweep", exit_code=1, **copy)
    command(site, "deployment", "new", **copy)
    copied.says("takes tasks again")
    task_id = known.removeprefix("orchestrator-").removesuffix("-1")
    tasks = site.mongo[copy["MONGO_DB_NAME"]]["tasks"]
    copied.says("but of deployment")
    assert dict(tasks.find_one({"_id": task_id}) or {})["status"] == "running"
    for name in (known, unknown):
        assert runs_on(site, name)
        site.docker.containers.get(name).exec_run("touch /tmp/go", user="65534")
    ended = [name.removeprefix("orchestrator-").removesuffix("-1") for name in (known, unknown)]
    site.ended(ended)
    assert {site.client.get(each).status for each in ended} == {State.SUCCEEDED}
    assert {site.client.get(each).attempt for each in ended} == {1}


def test_a_task_that_is_cancelled_in_a_copy_runs_on_in_the_original(site: Site, copy: dict[str, str]) -> None:
    """The copy notes the request, and ends its own task once it is a deployment of its own."""
    task_id = uuid.uuid4().hex
    site.orphans.append(task_id)
    site.client.submit(GATED, task_id)
    restore(site, copy["MONGO_DB_NAME"])
    site.worker("live")
    site.reaches(task_id, "running")
    name = f"orchestrator-{task_id}-1"
    until(lambda: runs_on(site, name))
    tasks = site.mongo[copy["MONGO_DB_NAME"]]["tasks"]
    assert "it is still queued" in command(site, "cancel", task_id, **copy)
    assert "cancel_requested_at" in dict(tasks.find_one({"_id": task_id}) or {})
    assert runs_on(site, name)
    command(site, "deployment", "new", **copy)
    assert "is cancelled" in command(site, "cancel", task_id, **copy)
    assert runs_on(site, name)
    site.docker.containers.get(name).exec_run("touch /tmp/go", user="65534")
    site.ended([task_id])
    assert site.client.get(task_id).status is State.SUCCEEDED


def test_a_copy_that_replaces_the_original_goes_on_with_its_programs(site: Site, copy: dict[str, str]) -> None:
    """The operator says that the original is gone; the program, which ran on, is adopted."""
    live = site.worker("live")
    task_id = uuid.uuid4().hex
    name = running(site, task_id, GATED)
    restore(site, copy["MONGO_DB_NAME"])
    live.signal(signal.SIGKILL)
    live.dead()
    copied = site.worker("copy", **copy)
    copied.says("the database is a copy")
    command(site, "deployment", "live", **copy)
    copied.says("takes tasks again")
    site.docker.containers.get(name).exec_run("touch /tmp/go", user="65534")
    tasks = site.mongo[copy["MONGO_DB_NAME"]]["tasks"]
    until(lambda: dict(tasks.find_one({"_id": task_id}) or {})["status"] == "succeeded")
    assert dict(tasks.find_one({"_id": task_id}) or {})["attempt"] == 1


@pytest.mark.parametrize("restarted", [False, True], ids=["under a worker", "before it starts again"])
def test_a_worker_stops_at_a_database_that_came_back_empty(site: Site, *, restarted: bool) -> None:
    """It says so and takes nothing, until the operator removes what the lost deployment left; then it works on."""
    worker = site.worker("worker")
    old = site.services.deployment
    name = running(site, uuid.uuid4().hex, LONG)
    if restarted:
        worker.signal(signal.SIGKILL)
        worker.dead()
    site.mongo.drop_database(site.settings.mongo_db_name)
    if restarted:
        worker = site.worker("heir")
    worker.says(f"this host works for {old}")
    del site.services.home
    task_id = uuid.uuid4().hex
    site.orphans.append(task_id)
    site.client.submit({"image": IMAGE, "command": "echo new"}, task_id)
    shown = command(site, "deployment")
    assert f"1 containers of {old}" in shown
    assert runs_on(site, name)
    assert site.status(task_id) == "queued"
    assert "removed what" in command(site, "deployment", "remove", old, "--yes")
    assert site.containers(name.removeprefix("orchestrator-").removesuffix("-1")) == []
    if not restarted:
        worker.says("restart it")
        worker.signal(signal.SIGKILL)
        worker.dead()
        site.worker("heir")
    site.ended([task_id])
    assert site.client.get(task_id).status is State.SUCCEEDED


def test_a_task_whose_container_has_an_earlier_id_is_left_alone_until_that_is_taken(site: Site) -> None:
    """The documents are there, only the deployment's id was lost, and the new worker's host remembers none."""
    worker = site.worker("worker")
    old, task_id = site.services.deployment, uuid.uuid4().hex
    name = running(site, task_id, GATED)
    worker.signal(signal.SIGKILL)
    worker.dead()
    site.mongo[site.settings.mongo_db_name]["meta"].drop()
    elsewhere = {"SPOOL_DIR": str(site.folder / "another")}
    heir = site.worker("heir", **elsewhere)
    heir.says(f"orchestrator deployment take {old}")
    assert runs_on(site, name)
    assert site.status(task_id) == "running"
    heir.signal(signal.SIGKILL)
    heir.dead()
    command(site, "deployment", "take", old)
    site.worker("second heir", **elsewhere)
    site.docker.containers.get(name).exec_run("touch /tmp/go", user="65534")
    site.ended([task_id])
    task = site.client.get(task_id)
    assert (task.status, task.attempt) == (State.SUCCEEDED, 1), task.message


def test_a_container_that_another_machine_may_have_is_not_called_lost(site: Site) -> None:
    """The engine's id is that of the document, but the one that made the container was started as another."""
    worker = site.worker("worker")
    task_id = uuid.uuid4().hex
    name = running(site, task_id, LONG)
    worker.signal(signal.SIGKILL)
    worker.dead()
    tasks = site.mongo[site.settings.mongo_db_name]["tasks"]
    assert site.document(task_id)["container"]["engine_start"] == site.services.engine.start_id()
    tasks.update_one({"_id": task_id}, {"$set": {"container.engine_start": "f" * 64}})
    site.docker.containers.get(name).remove(force=True)
    site.worker("heir").says("if two machines have engines of one id")
    assert site.status(task_id) == "running"
    tasks.update_one({"_id": task_id}, {"$set": {"container.engine_start": site.services.engine.start_id()}})
    site.ended([task_id])
    assert site.client.get(task_id).cause == "container_lost"


def test_a_program_is_held_to_its_time_limit_while_the_database_is_away(site: Site) -> None:
    """A worker that cannot start without MongoDB still ends it, by the label of its container."""
    task_id = uuid.uuid4().hex
    site.orphans.append(task_id)
    labels = {
        "orchestrator.task": task_id,
        "orchestrator.task.attempt": "1",
        "orchestrator.deployment": "of a database that is lost",
        "orchestrator.task.lifetime": "2",
    }
    held = {**labels, "orchestrator.task.lifetime": "900"}
    over, within = (
        site.docker.containers.run(IMAGE, "sleep 600", detach=True, init=True, labels=each) for each in (labels, held)
    )
    try:
        waiting = {"MONGO_URI": "mongodb://127.0.0.1:9/?serverSelectionTimeoutMS=100", "RETRY_BUDGET": "600"}
        site.nursery.fork({**site.environment, **waiting}, "waits").says("its time limit is long over")
        until(lambda: site.services.engine.inspect(over.id).phase is Phase.EXITED)
        assert site.services.engine.inspect(within.id).phase is Phase.RUNNING
    finally:
        over.remove(force=True)
        within.remove(force=True)
