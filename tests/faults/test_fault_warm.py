"""A worker that keeps containers waiting is killed before each call of the engine and of the store that it makes for a task."""

import re
import time
from collections.abc import Iterator
from datetime import datetime

from orchestrator.task.labels import DEPLOYMENT, WARM, WORKER
from tests.support.fault_nursery import Child
from tests.support.fault_programs import talker
from tests.support.fault_proof import SETTLES, artifacts_are_whole, ended_once, events_are_whole, log_is_whole, nothing_is_left
from tests.support.fault_site import Site
from tests.support.fault_wait import until
from tests.support.pace import IMAGE

PROGRAM = talker(0.5)
STRUCK = r"job/(engine|store)\."
NEVER_BEGAN = 91
_SETTLED = 2
"""Seconds after which a container that waits is taken: whole seconds are told of its age."""


def test_a_worker_with_waiting_containers_killed_before_any_call_is_replaced(site: Site) -> None:
    """Every program begins once, in its first attempt: the survivor begins what was not begun, and adopts what was."""
    recorder = _worker(site, "recorder", "")
    first = _hand(site, recorder)
    site.ended([first])
    until(lambda: site.document(first).get("settled"))
    recorder.signal(9)
    recorder.dead()
    points = [point for _, point in recorder.points() if re.match(STRUCK, point)]
    assert {"job/engine.create#1", "job/store.begin#1", "job/engine.start#1", "job/engine.wait#1"} <= {*points}
    victims = [_worker(site, f"victim-{number}", point) for number, point in enumerate(points)]
    tasks = {point: _hand(site, victim) for point, victim in zip(points, victims, strict=True)}
    for victim in victims:
        victim.dead()
    site.survivor(CONCURRENCY="8")
    site.ended(tasks.values())
    until(lambda: all(site.document(task).get("settled") for task in tasks.values()), SETTLES)
    for point, task in tasks.items():
        document = site.document(task)
        assert (document["status"], document["attempt"], document["attempts"]) == ("succeeded", 1, []), point
        events_are_whole(site, task)
        log_is_whole(site, task)
        artifacts_are_whole(site, task)
        ended_once(document, site.document(task), site.programs[task])
    nothing_is_left(site, first, *tasks.values())
    until(lambda: not [*_waiting(site, every=True)], SETTLES)
    ends = [*_ends(site)]
    assert {*ends} <= {0, NEVER_BEGAN}, "a program that had begun was killed"
    assert len(tasks) // 3 < ends.count(0) <= 1 + len(tasks), (
        "a program ran twice, or hardly any in a container that had waited"
    )


def _worker(site: Site, name: str, point: str) -> Child:
    """It has a queue of its own, and a container that waits."""
    child = site.worker(name, point, QUEUE=_queue(site, name), WARM=f"{IMAGE}=1", WORKER_NAME=name, SWEEP_INTERVAL="1000")
    until(lambda: [*_waiting(site, name)])
    return child


def _hand(site: Site, child: Child) -> str:
    return site.submit(PROGRAM, _queue(site, child.name))


def _queue(site: Site, name: str) -> str:
    return f"{site.environment['QUEUE']}-{name}"


def _waiting(site: Site, worker: str = "", *, every: bool = False) -> Iterator[str]:
    """The containers that wait, of one worker or of all, whether or not they run."""
    labels = [WARM, f"{DEPLOYMENT}={site.services.deployment}", *([f"{WORKER}={worker}"] if worker else [])]
    for each in site.docker.api.containers(all=every, filters={"label": labels}):
        settled = time.time() - each["Created"] > _SETTLED
        if f"/{each['Labels'][WARM]}" in each["Names"] and (every or settled):
            yield each["Id"]


def _ends(site: Site) -> Iterator[int]:
    """The exit codes of the containers that had waited, from the engine's events."""
    labels = [WARM, f"{DEPLOYMENT}={site.services.deployment}"]
    now = datetime.fromisoformat(site.docker.info()["SystemTime"]).timestamp()
    for event in site.docker.api.events(since=0, until=f"{now:.6f}", filters={"label": labels, "event": "die"}, decode=True):
        yield int(event["Actor"]["Attributes"]["exitCode"])
