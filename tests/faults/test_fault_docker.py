"""Rows 6, 7 and 18, and row 1 below the port: faults of the engine, or of the connection to it, while a task runs."""

import re
import signal
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest
from attrs import evolve, frozen

from orchestrator.metrics import declarations as metrics
from tests.faults.report import long, note
from tests.support import pace
from tests.support.containers import WHERE
from tests.support.fault_metrics import shows, with_metrics
from tests.support.fault_nursery import Child
from tests.support.fault_programs import Program, flood, sleeper, talker
from tests.support.fault_proof import prove
from tests.support.fault_proxy import Proxy, Rule, http_error
from tests.support.fault_rows import Row
from tests.support.fault_site import Site
from tests.support.fault_wait import until

CALLS = {
    "inspect image": rb"^GET \S+/images/",
    "create": rb"^POST \S+/containers/create",
    "attach": rb"^POST \S+/attach",
    "start": rb"^POST \S+/start",
    "wait": rb"^POST \S+/wait",
    "logs": rb"^GET \S+/logs",
    "inspect": rb"^GET \S+/containers/[^/ ]+/json",
    "stats": rb"^GET \S+/stats",
    "events": rb"^GET \S+/events",
    "kill": rb"^POST \S+/kill",
    "archive": rb"^PUT \S+/archive",
    "remove": rb"^DELETE \S+/containers/",
    "remove volume": rb"^DELETE \S+/volumes/",
}
FAULTS: dict[Row, dict[str, object]] = {
    Row.SOCKET_LOSES: {"lose_reply": True, "times": 2},
    Row.SOCKET_RESETS: {"cut": True, "times": 2},
    Row.SOCKET_500: {"answer": http_error(500), "times": 2},
    Row.SOCKET_STALLS: {"stall_reply": 5.0},
    Row.SOCKET_HANGS: {"stall_reply": 65.0},
}
SHORT = [(call, Row.SOCKET_LOSES) for call in CALLS] + [
    (call, Row.SOCKET_500) for call in ("create", "start", "wait", "inspect")
]


@frozen
class Lane:
    """A worker that reaches the engine through a separate proxy, and takes tasks from a separate queue."""

    proxy: Proxy
    queue: str
    worker: Child


class Lanes:
    """Makes lanes; their proxies end with the test."""

    def __init__(self, site: Site, stack: ExitStack) -> None:
        self._site, self._stack, self._count = site, stack, 0

    def __call__(self, **environment: str) -> Lane:
        """A new lane."""
        self._count += 1
        path = self._site.folder / f"{self._count}.sock"
        proxy = self._stack.enter_context(Proxy(WHERE.removeprefix("unix://"), path))
        queue = f"{self._site.environment['QUEUE']}-lane-{self._count}"
        environment = {"DOCKER_HOST": f"unix://{path}", "QUEUE": queue, "SWEEP_INTERVAL": "2", **environment}
        return Lane(proxy, queue, self._site.nursery.fork({**self._site.environment, **environment}, f"lane-{self._count}"))


@pytest.fixture
def lanes(site: Site) -> Iterator[Lanes]:
    """Lanes to the host's engine."""
    with ExitStack() as stack:
        yield Lanes(site, stack)


@pytest.mark.host
def test_every_call_to_the_engine_may_fail(site: Site, lanes: Lanes) -> None:
    """Reset, 500, silence, or a reply that is lost, twice where it is made again: the program runs once, its log is whole."""
    chosen = [(call, row) for row in FAULTS for call in CALLS] if long() else SHORT
    struck, slots = {}, {}
    for call, row in chosen:
        lane = lanes(CONCURRENCY="1", SWEEP_INTERVAL="1000")  # or another lane takes over what is late in a crowd
        if call in {"logs", "wait"}:  # which are made when attach has been cut
            lane.proxy.add(CALLS["attach"], cut_reply_after=300)
        struck[call, row] = lane.proxy.add(CALLS[call], **FAULTS[row])
        site.submit(*_asks_for(call), queue=lane.queue, files={"a": "b"}, limits={"timeout": 1.5 if call == "kill" else 120})
        slots[lane.queue] = 1
    tasks = [*site.programs]
    site.ended(tasks, 240)
    assert [call for call, rule in struck.items() if not _strikes(rule)] == []
    site.survivor()
    held = prove(site, *tasks, slots=slots)
    for row in dict.fromkeys(row for _, row in chosen):
        often = [f"{call} {rule.struck}" for (call, each), rule in struck.items() if each is row]
        note(row, held, runs=len(often), detail=", ".join(often))


def _strikes(rule: Rule) -> bool:
    """Whether it has struck or strikes soon: work beside the task may come a moment later."""
    with suppress(AssertionError):
        until(lambda: rule.struck)
    return bool(rule.struck)


@pytest.mark.host
@pytest.mark.long
def test_output_is_whole_although_attach_and_log_are_cut(site: Site, lanes: Lanes) -> None:
    """The live stream ends in the middle, and so does the log that is read in its place; or just as the program has exited."""
    slow, fast = lanes(), lanes()
    cuts = [slow.proxy.add(CALLS["attach"], cut_reply_after=300), slow.proxy.add(CALLS["logs"], cut_reply_after=200)]
    rush = flood(1 << 20)
    cuts.append(fast.proxy.add(CALLS["attach"], cut_reply_after=len(rush.stdout) - 5))  # more than that with all the headers
    tasks = [site.submit(talker(3, pause=0.02), slow.queue), site.submit(rush, fast.queue)]
    site.ended(tasks)
    assert [cut.struck for cut in cuts] == [1, 1, 1]
    assert not any(site.document(task_id)["logs"]["stdout"]["truncated"] for task_id in tasks)
    note(Row.SOCKET_CUT, prove(site, *tasks, slots={slow.queue: 4, fast.queue: 4}), runs=2)


@pytest.mark.long
@pytest.mark.host
def test_a_worker_killed_while_any_request_is_on_its_way_is_replaced(site: Site, lanes: Lanes) -> None:
    """Below the port: every request of a run with files and stdin, to the engine, in order; the engine gets it all the same."""
    program = evolve(talker(0.5), script=f"cat /task/a; cat; {talker(0.5).script}", stdout=b"bin" + talker(0.5).stdout)
    request = {"files": {"a": "b"}, "stdin": "in"}
    requests = _requests_of(site, lanes(SWEEP_INTERVAL="1000"), program, request)
    heir = site.survivor(CONCURRENCY="8")
    victims = []
    for number, name in enumerate(requests):
        lane = lanes(SWEEP_INTERVAL="1000")
        lane.proxy.add(rb"^[A-Z]+ /", times=1, skip=number, do=lambda worker=lane.worker: worker.signal(signal.SIGKILL))
        victims.append((name, lane, site.submit(program, lane.queue, **request)))
    for _, lane, _ in victims:
        lane.worker.dead()
    tasks = [task_id for _, _, task_id in victims]
    site.ended(tasks)
    held = prove(site, *tasks, slots={f"{site.environment['QUEUE']}-survivor": 8})
    assert heir.alive
    note(Row.KILL_REQUEST, held, runs=len(tasks))


@pytest.mark.host
def test_a_container_that_somebody_removes_is_a_lost_one(site: Site) -> None:
    """The output that was read is kept. A task in collecting has an outcome already, which stays."""
    site.worker("worker", **(worker := with_metrics()))
    running = site.submit(Program(talker(20).script, talker(20).stdout, talker(20).stderr, None))
    site.reaches(running, "running")
    until(lambda: b"line 5" in _logs(site, running))
    _remove(site, running)
    frozen = site.worker("frozen", "job/spool.seal#1", "SIGSTOP", QUEUE="collecting", LEASE_TTL=str(pace.seconds(60)))
    collecting = site.submit(talker(0.5), "collecting")
    until(lambda: frozen.stopped)
    _remove(site, collecting)
    frozen.signal(signal.SIGCONT)
    site.ended([running, collecting])
    assert site.document(running)["cause"] == "container_lost"
    shows(worker, metrics.ENDED, "failed", "container_lost")
    assert site.document(running)["logs"]["stdout"]["bytes"] > len("started\n")
    held = prove(site, running, collecting, slots={site.environment["QUEUE"]: 4, "collecting": 4})
    kept = site.document(collecting)["status"]
    note(
        Row.REMOVED, held, runs=2, detail=f"the first failed with cause container_lost, the second {kept}, as was stored before"
    )


@pytest.mark.host
def test_hanging_or_broken_statistics_delay_nothing(site: Site, lanes: Lanes) -> None:
    """The stream that never says anything, and the one that ends early: both runs end in time, with fewer samples."""
    silent, short = lanes(), lanes()
    silent.proxy.add(CALLS["stats"], times=99, stall_reply=30.0)
    short.proxy.add(CALLS["stats"], times=99, cut_reply_after=1)
    tasks = [site.submit(talker(5), lane.queue) for lane in (silent, short)]
    site.ended(tasks)
    documents = [site.document(task_id) for task_id in tasks]
    assert [document["metrics"]["samples"] for document in documents] == [0, 0]
    took = [(document["finished_at"] - document["started_at"]).total_seconds() for document in documents]
    assert max(took) < pace.seconds(15)
    note(Row.STATS, prove(site, *tasks, slots={silent.queue: 4, short.queue: 4}), runs=2)


def _asks_for(call: str) -> tuple[Program]:
    """A program during which the call is made."""
    if call == "events":  # which tell of a signal that the worker has not sent
        return (Program("echo started; kill -9 $$", b"started\n", b"", "failed", "signal", whole={"signal"}),)
    return (sleeper(60, "timed_out", "timeout"),) if call == "kill" else (talker(2.5),)


def _requests_of(site: Site, lane: Lane, program: Program, request: dict[str, object]) -> list[str]:
    """The requests to the engine, in order, from the worker's start to the task's end."""
    task_id = site.submit(program, lane.queue, **request)
    site.ended([task_id])
    until(lambda: site.document(task_id).get("settled"))
    lane.worker.signal(signal.SIGKILL)
    heads = [match for piece in lane.proxy.pieces if (match := re.match(rb"([A-Z]+) (\S+)", piece))]
    return [head[0].decode() for head in heads]


def _logs(site: Site, task_id: str) -> bytes:
    (container,) = site.docker.containers.list(filters={"label": f"orchestrator.task={task_id}"})
    return bytes(container.logs())


def _remove(site: Site, task_id: str) -> None:
    site.removed.add(task_id)
    for container in site.docker.containers.list(
        all=True, ignore_removed=True, filters={"label": f"orchestrator.task={task_id}"}
    ):
        container.remove(force=True)
