"""Rows 2 and 19: kills at random, and every fault at random, for as long as DURATION says."""
# ruff: noqa: S311  chance need not be secure here

import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from attrs import define, field

from tests.support.fault_detour import Detour, detoured
from tests.support.fault_nursery import Child
from tests.support.fault_programs import Program, flood, sleeper, talker
from tests.support.fault_proof import prove
from tests.support.fault_proxy import http_error
from tests.support.fault_report import duration, note
from tests.support.fault_site import Site
from tests.support.servers import Corner

TASKS, SLOTS, WORKERS = 20, 4, 3
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
    prove(site, *tasks, slots=SLOTS)
    note(
        2,
        f"SIGKILL in a loop, {kills} kills in {duration(8):.0f} s",
        "any",
        [time.monotonic() - began],
        "last kill to all ended",
        len(tasks),
    )


@define
class Chaos:
    """Does one fault at a time to an installation."""

    detour: Detour
    workers: list[Child]
    tasks: list[str] = field(factory=list)
    done: list[str] = field(factory=list)

    def strike(self) -> None:
        """Any of them."""
        fault = random.choice(
            (self.kill, self.freeze, self.hand_over, self.outage, self.outage, self.lie, self.lie, self.remove, self.cancel)
        )
        self.done.append(fault.__name__)
        fault()

    def kill(self) -> None:
        """SIGKILL for one worker."""
        self._replace(lambda worker: worker.signal(signal.SIGKILL))

    def hand_over(self) -> None:
        """Two SIGTERMs for one worker."""

        def leave(worker: Child) -> None:
            worker.signal(signal.SIGTERM)
            time.sleep(1.2)
            worker.signal(signal.SIGTERM)

        self._replace(leave)

    def freeze(self) -> None:
        """One worker past its lease."""
        worker = random.choice(self.workers)
        worker.signal(signal.SIGSTOP)
        time.sleep(12)
        worker.signal(signal.SIGCONT)

    def outage(self) -> None:
        """One server, or the engine, is away or silent for some seconds."""
        way = random.choice(self.detour.ways)
        begin, end = random.choice(((way.go_down, way.come_up), (way.stall, way.flow)))
        begin()
        time.sleep(random.uniform(1, 8))
        end()

    def lie(self) -> None:
        """The next requests to one of them are answered with an error, cut, or their reply is lost."""
        way = random.choice(self.detour.ways)
        pattern = rb"^[A-Z]+ /" if way in {self.detour.docker, self.detour.s3} else rb"."
        ways: list[dict[str, object]] = [{"cut": True}, {"lose_reply": True}]
        if pattern != rb".":
            ways.append({"answer": http_error(500)})
        way.add(pattern, times=random.randint(1, 5), skip=random.randint(0, 20), **random.choice(ways))

    def remove(self) -> None:
        """Somebody removes a container of ours."""
        site = self.detour.site
        for task_id in random.sample(self.tasks, min(3, len(self.tasks))):
            for container in site.docker.containers.list(all=True, filters={"label": f"orchestrator.task={task_id}"}):
                site.docker.api.remove_container(container.id, force=True)
                return

    def cancel(self) -> None:
        """Somebody cancels a task, whatever its state."""
        self.detour.site.client.cancel(random.choice(self.tasks))

    def calm(self) -> None:
        """No faults from here on."""
        for way in self.detour.ways:
            way.rules.clear()
            way.come_up()
            way.flow()

    def _replace(self, end: Callable[[Child], object]) -> None:
        worker = self.workers.pop(random.randrange(len(self.workers)))
        end(worker)
        worker.dead()
        site = self.detour.site
        self.workers.append(site.nursery.fork(site.environment, f"soak-{len(site.nursery.children)}"))


@pytest.fixture
def detour(corner: Corner, tmp_path: Path) -> Iterator[Detour]:
    """Everything behind proxies."""
    with detoured(corner, tmp_path) as detour:
        yield detour


@pytest.mark.long
def test_every_fault_at_random_breaks_no_invariant_and_leaks_nothing(detour: Detour) -> None:
    """For DURATION seconds; one worker that nobody kills has as many threads and descriptors, and as much memory, as before."""
    site = detour.site
    steady = site.worker("steady", CONCURRENCY=str(SLOTS))
    chaos = Chaos(detour, [site.worker("soak", CONCURRENCY="2")])
    warm = [site.submit(talker(0.5)) for _ in range(SLOTS)]
    site.ended(warm)
    before = _held(steady)
    until = time.monotonic() + duration(10)
    while time.monotonic() < until:
        chaos.tasks += _refill(site, chaos.tasks, 2 * SLOTS)
        chaos.strike()
    chaos.calm()
    began = time.monotonic()
    site.ended(chaos.tasks)
    took = time.monotonic() - began
    for task_id in chaos.tasks:
        program = site.programs[task_id]
        site.programs[task_id] = Program("", program.stdout, program.stderr, None)
    prove(site, *chaos.tasks)
    for worker in chaos.workers:
        worker.signal(signal.SIGKILL)
        worker.dead()
    prove(site, *warm, slots=SLOTS)
    after = _held(steady)
    assert after["threads"] <= before["threads"] + 8, (before, after)
    assert after["descriptors"] <= before["descriptors"] + POOLS, (before, after)
    assert after["kilobytes"] <= before["kilobytes"] + 40_000, (before, after)
    what = f"{len(chaos.tasks)} tasks, {len(chaos.done)} faults in {duration(10):.0f} s; {_told(before)}, then {_told(after)}"
    note(19, "faults 1-18 at random", what, [took], "last fault to all ended", len(chaos.tasks))


def _refill(site: Site, tasks: list[str], wanted: int) -> list[str]:
    """New tasks, so that so many are in hand."""
    return [_any_task(site) for _ in range(max(wanted - site.count_open(tasks), 0))]


def _any_task(site: Site) -> str:
    kind = random.random()
    if kind < 0.1:
        return site.submit(Program(sleeper().script, b"started\n", b"", "timed_out", "timeout"), limits={"timeout": 1})
    if kind < 0.2:
        return site.submit(talker(random.uniform(0.2, 2), code=3), retries=random.randint(0, 1))
    if kind < 0.35:
        return site.submit(flood(random.randint(10_000, 500_000)), files={"a": "b"})
    return site.submit(talker(random.uniform(0.2, 4)))


def _held(worker: Child) -> dict[str, int]:
    """What the process holds, by the kernel's word."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{worker.pid}/status").read_text().splitlines())
    return {
        "threads": int(status["Threads"]),
        "descriptors": len([*Path(f"/proc/{worker.pid}/fd").iterdir()]),
        "kilobytes": int(status["VmRSS"].split()[0]),
    }


def _told(held: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in held.items())
