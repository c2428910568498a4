"""Row 1: a worker is killed before every call that it makes for a task. Another worker ends its tasks."""

import inspect
import re
import time

import pytest
from attrs import frozen

from tests.faults.debris import HASTY, cleaned, leave_debris, sweeper
from tests.faults.report import long, note
from tests.faults.test_fault_books import AT_THE_BOOKS, AT_THE_RESCUE
from tests.faults.test_fault_deletion import AT_THE_DELETION
from tests.faults.test_fault_stop import AT_THE_HAND_OVER
from tests.support import pace
from tests.support.fault_nursery import Child
from tests.support.fault_programs import Program, keeper, printer, sleeper, talker
from tests.support.fault_proof import prove
from tests.support.fault_rows import Row
from tests.support.fault_site import Site
from tests.support.fault_steps import LOOP, loop_steps, ports, steps
from tests.support.fault_wait import crowding, until

TAKEN_OVER = pace.seconds(15.0)
"""Seconds from the kill to another worker's claim, with default settings."""
SLOTS = 8
THINNED = 3
"""In the short form every third point is struck; that each call is one is another test's."""


@frozen
class Scenario:
    """A run without a fault, its row, and the points at which a fault strikes."""

    row: Row
    program: Program
    request: dict[str, object]
    struck: str = r"(job/|upload/|main/rq\._)"


PLAIN = Scenario(Row.KILL_SUCCEEDS, talker(1.5), {})
AGAIN = Scenario(Row.KILL_AGAIN, talker(0.3, code=3), {"retries": 1})
LATE = Scenario(Row.KILL_LATE, sleeper(60, "timed_out", "timeout"), {"limits": {"timeout": 2}})
ABSENT = Scenario(Row.KILL_ABSENT, Program("", b"", b"", "failed", "image"), {"image": "orchestrator-nowhere:9"})
KEEPING = Scenario(Row.KILL_KEEPS, keeper(1.5), {"artifacts": ["."]})
TAIL = {"limits": {"output": 400}, "on_output_limit": "drop_middle"}
BESIDE = Scenario(Row.KILL_BESIDE, talker(4), TAIL, r"((watch|heartbeat)/|job/tail\.).*#1$")
"""Its output is longer than half of what may be kept, so the end of it is in the tail; all of it is kept."""
AHEAD = Scenario(
    Row.KILL_AHEAD, printer(20 << 20, 5), {"limits": {"output": 40 << 20}}, r"(ahead|job)/(logs\..*|store\.note_parts)#1$"
)
"""All full parts are sent while it waits, the rest at its end."""
SCENARIOS = (PLAIN, KEEPING, AGAIN, LATE, ABSENT, BESIDE, AHEAD)

NOT_STRUCK = {
    "store.prepare": "a worker's start, before it has any task",
    "logs.prepare": "the same",
    "store.insert": "the client's",
    "store.insert_many": "the same",
    "store.list": "the client's; it reads",
    "store.request_cancel": "the client's",
    "store.ids": "the same",
    "queue.workers": "the client's; it reads",
    "queue.depth": "a gauge of the metrics; it reads",
    "queue.records": "the client's; it reads",
    "store.counts": "the same",
    "store.ended": "the same",
    "store.begun": "the same",
    "store.most_ended": "the same",
    "store.settle_in": "the operator's command",
    "store.go_on_as": "the same",
    "store.note_input": "made beside the run; test_worker_stop.py replaces and kills workers while they write input",
    "engine.deployments": "the operator's; it reads",
    "engine.keep_warm": "off by default; a worker's start, before it has any task, and its end",
    "engine.remove_image": "off by default; one call of the engine's, which the next sweep makes again",
    "events.subscribe": "the client's; it reads",
    "logs.get": "the client's; it reads",
    "logs.stat": "it reads",
    "engine.noted": "a look at what may be told; it reads",
    "spool.doubt": "it notes in memory that the log may lack something",
    "spool.path": "a name; it does nothing",
    "spool.kept": "a number in memory",
    "spool.salvage": "only where a container has gone: a copy into the holder's own spool, which the next holder makes again",
    "rq.present": "it reads what is in memory",
    "rq.serialize": "the same",
    "rq.begin": "its one write is rq._note_begin",
    "rq.prepare_job_execution": "it does nothing",
    "rq.handle_execution_ended": "it notes a time in memory",
    "rq.handle_exception": "it writes a line of the log",
}
"""What no kill is aimed at, and why."""


@pytest.mark.parametrize("scenario", SCENARIOS if long() else [KEEPING, AHEAD], ids=lambda scenario: scenario.row.name)
@pytest.mark.host
def test_a_worker_killed_before_any_call_of_a_run_is_replaced(site: Site, scenario: Scenario) -> None:
    """Every call of the run is a point, a victim dies at each of them, and every task ends as if nothing had happened."""
    points = _recorded(site, scenario)[:: 1 if long() else THINNED]
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
    held = prove(site, *tasks.values(), slots={_queue(site, survivor.name): SLOTS})
    assert max(taken.values()) <= TAKEN_OVER * crowding(), {point: taken[task_id] for point, task_id in tasks.items()}
    crowd = f"killed side by side, for one survivor of {SLOTS} slots"
    note(scenario.row, held, [*taken.values()], detail=crowd)


@pytest.mark.long
def test_a_worker_killed_before_any_call_of_a_sweep_is_replaced(site: Site) -> None:
    """The first of every kind of call, in a sweep that finds debris of all kinds and in the runs that it adopts."""
    points = _recorded_sweep(site)
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
    last = sweeper(site, "last")
    held = prove(site, *tasks, slots={_queue(site, last.name): 4})
    note(Row.KILL_SWEEP, held, runs=len(points), detail=f"{len(tasks)} tasks")


def test_a_kill_is_aimed_at_every_call_of_a_port_and_every_step(site: Site) -> None:
    """One that is added, and that no recorded run makes, is named here until a run makes it."""
    recorded = {point for scenario in SCENARIOS for point in _recorded(site, scenario)} | set(_recorded_sweep(site))
    struck = {_call(point) for point in recorded | AT_THE_BOOKS | {*AT_THE_DELETION, AT_THE_RESCUE, AT_THE_HAND_OVER}}
    declared = {f"{name}.{method}" for name, port in ports().items() for method in _methods(port)} | steps().keys()
    assert declared - struck - NOT_STRUCK.keys() == set(), "nobody is killed before these: give them a run"
    assert NOT_STRUCK.keys() - declared | LOOP.keys() - {*loop_steps()} == set(), "calls that are no more"


def _call(point: str) -> str:
    return point.partition("/")[2].partition("#")[0]


def _methods(port: type) -> list[str]:
    return [name for name, _ in inspect.getmembers(port, inspect.isfunction) if not name.startswith("_")]


def _recorded(site: Site, scenario: Scenario) -> list[str]:
    """The points of a run that are struck, in order."""
    queue = _queue(site, "recorder")
    worker = site.worker("recorder", QUEUE=queue)
    task_id = site.submit(scenario.program, queue, **scenario.request)
    site.ended([task_id])
    until(lambda: site.document(task_id).get("settled"))
    until(lambda: any("cleanup_execution" in point for _, point in worker.points()))
    worker.signal(9)
    worker.dead()
    points = [point for _, point in worker.points() if re.match(scenario.struck, point)]
    return [point for point in points if _call(point) not in NOT_STRUCK]


def _recorded_sweep(site: Site) -> list[str]:
    """The first of each kind of call in the first sweep over debris of all kinds, and in the runs that it adopted."""
    debris = leave_debris(site)
    # half of the lease is the time of a sweep, which is to make all its looks on a busy machine, too
    worker = site.survivor("recorder", **{**HASTY, "LEASE_TTL": str(pace.seconds(20))})
    cleaned(site, debris)
    until(lambda: not site.spooled())
    worker.signal(9)
    worker.dead()
    points = [point for _, point in worker.points()]
    second = points.index("sweep/lock.hold#2") if "sweep/lock.hold#2" in points else len(points)
    firsts = [point for number, point in enumerate(points) if _is_swept(point, first=number < second)]
    return [point for point in firsts if point.endswith("#1") and _call(point) not in NOT_STRUCK]


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
    """The time at which it died at its last point; None if it still lives."""
    try:
        child.dead()
    except AssertionError:
        return None
    return child.points()[-1][0]


def _taken_over(site: Site, survivor: Child, died: dict[str, float]) -> dict[str, float]:
    """Seconds from a death until the survivor held the task, by task; a task that had ended needs nobody."""
    taken: dict[str, float] = {}
    deadline = time.monotonic() + pace.seconds(60)
    while (open_ := died.keys() - taken.keys()) and time.monotonic() < deadline:
        for task_id in open_:
            document = site.document(task_id)
            held = (document.get("lease") or {}).get("worker") == survivor.name
            if held or document.get("settled"):
                taken[task_id] = max(time.monotonic() - died[task_id], 0.0)
        time.sleep(0.05)
    assert not died.keys() - taken.keys(), f"nobody took over {died.keys() - taken.keys()}"
    return taken
