"""What dead workers leave behind, made by killing some: the work of the next one's sweep."""

import time
import uuid
from pathlib import Path

from orchestrator.task.labels import ATTEMPT, DEPLOYMENT, TASK, WORKER
from tests.support import pace
from tests.support.containers import IMAGE
from tests.support.fault_nursery import Child
from tests.support.fault_programs import talker
from tests.support.fault_site import Site
from tests.support.fault_wait import until

HASTY = {"LEASE_TTL": str(pace.seconds(2)), "SWEEP_INTERVAL": "0.5", "ORPHAN_GRACE": "1"}
LEFT_AT = (
    "job/engine.start#1",
    "job/engine.wait#1",
    "job/spool.seal#1",
    "upload/logs.put#1",
    "job/events.publish#4",
    "job/store.settle#1",
)
"""Where workers die: each leaves its task in another state."""
SENT_AHEAD = {"job/engine.wait#1", "job/store.settle#1"}
"""Of these tasks an object was begun: a run that is adopted drops it, or the sweep."""


def leave_debris(site: Site) -> list[str]:
    """Tasks in each state whose workers are dead and whose leases have run out, and orphans.

    One more task is not in line, and one is of a document that cannot be read.
    """
    victims = [_victim(site, number, point) for number, point in enumerate(LEFT_AT)]
    unlined = site.submit(talker(0.2), "nobody's queue")
    for (victim, task_id), point in zip(victims, LEFT_AT, strict=True):
        victim.dead()
        if point in SENT_AHEAD:
            site.begin_parts(task_id)
    _orphans(site)
    time.sleep(pace.seconds(3))  # the time of an inserting client, and of the leases
    return [unlined, site.garble(), *(task_id for _, task_id in victims)]


def sweeper(site: Site, name: str, at: str = "") -> Child:
    """A worker that does nothing but sweep what it finds, and what it puts in line."""
    return site.survivor(name, at=at, **HASTY)


def cleaned(site: Site, tasks: list[str]) -> None:
    """Wait until the tasks have ended and are settled."""
    site.ended(tasks)
    for task_id in tasks:
        site.follow(task_id)
    until(lambda: all(site.document(task_id).get("settled") for task_id in tasks))


def _victim(site: Site, number: int, point: str) -> tuple[Child, str]:
    queue = f"{site.environment['QUEUE']}-{uuid.uuid4().hex[:8]}"
    environment = {**site.environment, **HASTY, "QUEUE": queue, "SWEEP_INTERVAL": "1000"}
    return site.nursery.fork(environment, f"left-{number}", point), site.submit(talker(0.6), queue)


def _orphans(site: Site) -> None:
    """A container with our labels and a spool folder, of a task that nobody knows."""
    task_id = uuid.uuid4().hex
    labels = {TASK: task_id, ATTEMPT: "1", WORKER: "gone", DEPLOYMENT: site.services.deployment}
    site.docker.containers.create(IMAGE, "true", name=f"orchestrator-{task_id}-1", labels=labels, network_disabled=True)
    site.orphans.append(task_id)
    folder = Path(site.environment["SPOOL_DIR"]) / site.services.deployment / f"orchestrator-{task_id}-1"
    folder.mkdir(parents=True)
    (folder / "stdout").touch()
