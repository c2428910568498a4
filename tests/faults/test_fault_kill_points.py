"""Row 1: a worker is killed between every two adjacent calls that a task's run makes; another one ends the task."""

import time

import pytest
from attrs import frozen

from tests.support.fault_nursery import Child
from tests.support.fault_programs import Program, talker
from tests.support.fault_proof import prove
from tests.support.fault_report import long, note
from tests.support.fault_site import Site
from tests.support.worker_process import until

TAKEN_OVER = 15.0
"""Seconds from the kill to another worker's claim, with default settings."""


@frozen
class Scenario:
    """A happy path: what is run, and what else is asked for."""

    name: str
    program: Program
    request: dict[str, object]


PLAIN = Scenario("a program that succeeds", talker(1.5), {})
AGAIN = Scenario("a program that fails and is tried again", talker(0.3, code=3), {"retries": 1})


def recorded(site: Site, scenario: Scenario) -> list[str]:
    """The points of the run, in order, from a run that nothing happens to."""
    queue = f"{site.environment['QUEUE']}-recorded"
    worker = site.worker("recorder", QUEUE=queue)
    task_id = site.submit(scenario.program, queue, **scenario.request)
    site.ended([task_id])
    until(lambda: site.document(task_id).get("settled"))
    until(lambda: any("handle_job_success" in point for _, point in worker.points()))
    worker.signal(9)
    worker.dead()
    return [point for _, point in worker.points() if point.startswith(("job/", "main/rq."))]


@pytest.mark.parametrize("scenario", [PLAIN, AGAIN] if long() else [PLAIN], ids=lambda scenario: scenario.name)
def test_a_worker_killed_before_any_call_is_replaced(site: Site, scenario: Scenario) -> None:
    """Every call of the run is a point, a victim dies at each of them, and every task ends as if nothing had happened."""
    points = recorded(site, scenario)
    survivor = site.survivor(CONCURRENCY="8")
    victims = {point: _victim(site, number, point, scenario) for number, point in enumerate(points)}
    died = {point: _death(child) for point, (child, _) in victims.items()}
    assert [point for point in points if died[point] is None] == [], "points at which nobody died"
    tasks = [task_id for _, task_id in victims.values()]
    taken = _taken_over(site, survivor, {victims[point][1]: at for point, at in died.items() if at})
    site.ended(tasks)
    prove(site, *tasks, slots=8, queue=f"{site.environment['QUEUE']}-survivor")
    assert max(taken.values()) <= TAKEN_OVER, {point: taken[task_id] for point, (_, task_id) in victims.items()}
    note(
        1,
        "SIGKILL the worker process",
        f"{scenario.name}: before each of {len(points)} calls",
        [*taken.values()],
        "kill to claim",
    )


def _victim(site: Site, number: int, point: str, scenario: Scenario) -> tuple[Child, str]:
    queue = f"{site.environment['QUEUE']}-{number}"
    child = site.nursery.fork({**site.environment, "QUEUE": queue, "SWEEP_INTERVAL": "1000"}, f"victim-{number}", point)
    return child, site.submit(scenario.program, queue, **scenario.request)


def _death(child: Child) -> float | None:
    """When it died at its last point; None when it still lives."""
    try:
        child.dead()
    except AssertionError:
        return None
    return child.points()[-1][0]


def _taken_over(site: Site, survivor: Child, died: dict[str, float]) -> dict[str, float]:
    """Seconds from a death until the survivor held the task, by task; a task that had ended needs nobody."""
    taken: dict[str, float] = {}
    deadline = time.monotonic() + 60
    while (open_ := died.keys() - taken.keys()) and time.monotonic() < deadline:
        for task_id in open_:
            document = site.document(task_id)
            held = (document.get("lease") or {}).get("worker") == survivor.name
            if held or document.get("settled"):
                taken[task_id] = max(time.monotonic() - died[task_id], 0.0)
        time.sleep(0.05)
    assert not died.keys() - taken.keys(), f"nobody took over {died.keys() - taken.keys()}"
    return taken
