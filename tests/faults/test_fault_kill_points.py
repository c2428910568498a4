"""Row 1: a worker is killed between every two adjacent calls that it makes; another one ends its tasks."""

import inspect
import time

import pytest
from attrs import frozen

from orchestrator import ports
from tests.support.fault_debris import cleaned, leave_debris, sweeper
from tests.support.fault_nursery import Child
from tests.support.fault_programs import Program, keeper, sleeper, talker
from tests.support.fault_proof import prove
from tests.support.fault_report import long, note
from tests.support.fault_site import Site
from tests.support.fault_wait import crowding, until

TAKEN_OVER = 15.0
"""Seconds from the kill to another worker's claim, with default settings."""
SLOTS = 8


@frozen
class Scenario:
    """A run that nothing happens to."""

    name: str
    program: Program
    request: dict[str, object]


PLAIN = Scenario("a program that succeeds", talker(1.5), {})
AGAIN = Scenario("a program that fails and is tried again", talker(0.3, code=3), {"retries": 1})
LATE = Scenario("a program that is ended at its deadline", sleeper(60, "timed_out", "timeout"), {"limits": {"timeout": 1}})
ABSENT = Scenario("an image that is not there", Program("", b"", b"", "failed", "image"), {"image": "orchestrator-nowhere:9"})
KEEPING = Scenario("a program whose files are kept", keeper(1.5), {"artifacts": ["."]})
SCENARIOS = (PLAIN, KEEPING, AGAIN, LATE, ABSENT)

PORTS = {
    "store": ports.TaskStore,
    "events": ports.EventBus,
    "queue": ports.Queue,
    "mutex": ports.Mutex,
    "logs": ports.LogStore,
    "engine": ports.Engine,
}
NOT_OF_A_RUN = {
    "store.prepare": "a worker's start, before it has any task",
    "logs.prepare": "the same",
    "store.insert": "the client's",
    "store.list": "the client's; it reads",
    "store.request_cancel": "the client's",
    "events.subscribe": "the client's; it reads",
    "logs.get": "the client's; it reads",
    "store.let_go": "made only when a worker hands over or a run raises: test_fault_stop.py",
    "store.reset": "made only for a document that no worker could have written, before its task has any attempt",
    "store.standing": "a look of the sweep; it reads",
    "engine.noted": "a look at what may be told; it reads",
    "engine.host": "a look at the host; it reads",
}
"""Calls of a port that are no kill points, and why."""


@pytest.mark.parametrize("scenario", SCENARIOS if long() else [KEEPING], ids=lambda scenario: scenario.name)
def test_a_worker_killed_before_any_call_of_a_run_is_replaced(site: Site, scenario: Scenario) -> None:
    """Every call of the run is a point, a victim dies at each of them, and every task ends as if nothing had happened."""
    points = [point for point in _recorded(site, scenario) if point.startswith(("job/", "main/rq."))]
    survivor = site.survivor(CONCURRENCY=str(SLOTS))
    children = [_victim(site, number, point) for number, point in enumerate(points)]
    for child in children:
        child.says("jobs at once")  # or the survivor would take what a slow victim has not begun yet
    victims = {point: (child, _hand(site, child, scenario)) for point, child in zip(points, children, strict=True)}
    died = {point: _death(child) for point, (child, _) in victims.items()}
    assert [point for point in points if died[point] is None] == [], "points at which nobody died"
    tasks = {point: task_id for point, (_, task_id) in victims.items()}
    taken = _taken_over(site, survivor, {tasks[point]: at for point, at in died.items() if at})
    site.ended(tasks.values())
    prove(site, *tasks.values(), slots=SLOTS, queue=f"{site.environment['QUEUE']}-survivor")
    assert max(taken.values()) <= TAKEN_OVER * crowding(), {point: taken[task_id] for point, task_id in tasks.items()}
    moment = f"{scenario.name}: before each of {len(points)} calls"
    note(1, "SIGKILL the worker process", moment, [*taken.values()], "kill to claim")


@pytest.mark.long
def test_a_worker_killed_before_any_call_of_a_sweep_is_replaced(site: Site) -> None:
    """The first of every kind of call, in a sweep that finds debris of all kinds and in the runs that it adopts."""
    points = [point for point in _recorded_sweep(site) if point.endswith("#1")]
    tasks = []
    for number, point in enumerate(points):
        debris = leave_debris(site)
        victim = sweeper(site, f"victim-{number}", point)
        assert _death(victim), f"nobody died at {point}"
        heir = sweeper(site, f"heir-{number}")
        cleaned(site, debris)
        until(lambda: not site.spooled())
        heir.signal(9)
        heir.dead()
        tasks += debris
    sweeper(site, "last", "")
    prove(site, *tasks)
    note(1, "SIGKILL the worker process", f"it sweeps and adopts: before {len(points)} kinds of call", [], "", runs=len(tasks))


def test_every_call_of_a_port_is_a_kill_point(site: Site) -> None:
    """A call that is added to a port, and that no recorded run makes, is named here until a run makes it."""
    reached = {point for scenario in SCENARIOS for point in _recorded(site, scenario)} | set(_recorded_sweep(site))
    calls = {point.partition("/")[2].partition("#")[0] for point in reached}
    declared = {f"{name}.{method}" for name, port in PORTS.items() for method in _methods(port)}
    assert declared - calls - NOT_OF_A_RUN.keys() == set(), "calls that no run makes: give them one"
    assert NOT_OF_A_RUN.keys() - declared == set(), "calls that are no more"


def _methods(port: type) -> list[str]:
    return [name for name, _ in inspect.getmembers(port, inspect.isfunction) if not name.startswith("_")]


def _recorded(site: Site, scenario: Scenario) -> list[str]:
    """The points of a run, in order."""
    queue = f"{site.environment['QUEUE']}-recorded"
    worker = site.worker("recorder", QUEUE=queue)
    task_id = site.submit(scenario.program, queue, **scenario.request)
    site.ended([task_id])
    until(lambda: site.document(task_id).get("settled"))
    until(lambda: any("handle_job_success" in point for _, point in worker.points()))
    worker.signal(9)
    worker.dead()
    return [point for _, point in worker.points()]


def _recorded_sweep(site: Site) -> list[str]:
    """The points of the first sweep over debris of all kinds, and of the runs that it adopted."""
    debris = leave_debris(site)
    worker = sweeper(site, "recorder")
    cleaned(site, debris)
    until(lambda: not site.spooled())
    worker.signal(9)
    worker.dead()
    points = [point for _, point in worker.points()]
    second = points.index("sweep/mutex.hold#2") if "sweep/mutex.hold#2" in points else len(points)
    return [point for number, point in enumerate(points) if _is_swept(point, first=number < second)]


def _is_swept(point: str, *, first: bool) -> bool:
    return point.startswith("adopted/") or (first and point.startswith("sweep/"))


def _victim(site: Site, number: int, point: str) -> Child:
    """A worker with a queue of its own that dies at the point."""
    name = f"victim-{number}"
    return site.nursery.fork({**site.environment, "QUEUE": _queue(site, name), "SWEEP_INTERVAL": "1000"}, name, point)


def _hand(site: Site, child: Child, scenario: Scenario) -> str:
    return site.submit(scenario.program, _queue(site, child.name), **scenario.request)


def _queue(site: Site, name: str) -> str:
    return f"{site.environment['QUEUE']}-{name}"


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
