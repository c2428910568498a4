"""Rows 2 and 19: kills at random, and faults of many kinds at random, for as long as DURATION says."""
# ruff: noqa: S311  chance need not be secure here

import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import evolve

from tests.faults.chaos import Chaos, Place, any_task, place
from tests.faults.report import duration, note
from tests.support.fault_nursery import Child
from tests.support.fault_programs import talker
from tests.support.fault_proof import prove
from tests.support.fault_rows import Row
from tests.support.fault_site import Site
from tests.support.fault_wait import PATIENCE
from tests.support.servers import Corner

TASKS, SLOTS, WORKERS = 20, 4, 3
PACE = 4.0
"""Seconds from one task to the next, at most, while faults go on."""
POOLS = 60
"""Idle connections that the libraries keep for later, once so many were needed at once."""


def test_workers_killed_at_random_lose_no_task(site: Site) -> None:
    """SIGKILL every 1 to 7 s for DURATION seconds, with three workers and twenty tasks in hand."""
    until, kills = time.monotonic() + duration(8), 0
    tasks, workers = [], [site.worker(f"w{number}") for number in range(WORKERS)]
    while time.monotonic() < until:
        tasks += _refill(site, tasks, TASKS)
        time.sleep(random.uniform(1, 7))
        victim = workers.pop(random.randrange(WORKERS))
        victim.signal(signal.SIGKILL)
        victim.dead()
        kills += 1
        workers.append(site.nursery.fork(site.environment, f"w{WORKERS + kills}"))
    began = time.monotonic()
    site.ended(tasks)
    took = time.monotonic() - began
    held = prove(site, *tasks, slots=SLOTS)
    note(Row.LOOP, held, [took], runs=len(tasks), detail=f"{kills} kills in {duration(8):.0f} s")


@pytest.fixture
def around(corner: Corner, tmp_path: Path) -> Iterator[Place]:
    """Everything behind proxies, an engine that may be killed, a disk that may be filled."""
    with place(corner, tmp_path) as around:
        yield around


@pytest.mark.long
def test_faults_at_random_break_no_invariant_and_leak_nothing(around: Place) -> None:
    """For DURATION seconds; one worker that nobody kills has as many threads and descriptors, and as much memory, as before."""
    site = around.detour.site
    steady = site.worker("steady", CONCURRENCY=str(SLOTS))
    chaos = Chaos(around, [site.worker("soak", CONCURRENCY="2")])
    warm = [site.submit(talker(0.5)) for _ in range(SLOTS)]
    site.ended(warm)
    before = _held(steady)
    began = time.monotonic()
    while (passed := time.monotonic() - began) < duration(10):
        due = round(passed / PACE) - len(chaos.tasks)
        chaos.tasks += _refill(site, chaos.tasks, 2 * SLOTS, due)
        chaos.strike()
    chaos.calm()
    calm = time.monotonic()
    site.ended(chaos.tasks, PATIENCE + duration(10))
    took = time.monotonic() - calm
    for task_id in chaos.tasks:
        site.programs[task_id] = evolve(site.programs[task_id], also=chaos.may_end(task_id))
    prove(site, *chaos.tasks, again=Row.SOAK.again)
    for worker in chaos.workers:
        worker.signal(signal.SIGKILL)
        worker.dead()
    held = prove(site, *warm, slots=SLOTS)
    after = _held(steady)
    assert after["threads"] <= before["threads"] + 8, (before, after)
    assert after["descriptors"] <= before["descriptors"] + POOLS, (before, after)
    assert after["kilobytes"] <= before["kilobytes"] + 40_000, (before, after)
    drawn = ", ".join(f"{name} {count}" for name, count in sorted(chaos.done.items()))
    what = f"{duration(10):.0f} s; drawn were: {drawn}; {_told(before)}, then {_told(after)}"
    note(Row.SOAK, evolve(held, again=Row.SOAK.again), [took], runs=len(chaos.tasks), detail=what)


def _refill(site: Site, tasks: list[str], wanted: int, due: int = 0) -> list[str]:
    """New tasks, so that so many are in hand, and at least those that are due."""
    return [any_task(site) for _ in range(max(wanted - site.count_open(tasks), due, 0))]


def _held(worker: Child) -> dict[str, int]:
    """The resources of the process, as the kernel reports them."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{worker.pid}/status").read_text().splitlines())
    return {
        "threads": int(status["Threads"]),
        "descriptors": len([*Path(f"/proc/{worker.pid}/fd").iterdir()]),
        "kilobytes": int(status["VmRSS"].split()[0]),
    }


def _told(held: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in held.items())
