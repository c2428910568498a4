"""What has to hold of a site: at any time, and once nothing is left to do."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain, repeat

from attrs import evolve

from orchestrator.app import Services
from orchestrator.cause import Cause
from orchestrator.client import Client
from orchestrator.execution.naming import named
from orchestrator.ports import Phase, Stream
from orchestrator.task.document import Task
from orchestrator.task.event import Event
from statemachine import TERMINAL, State
from tests.model.model_site import Site
from tests.model.parts import OWN_END, PROGRAMS
from tests.support.faults import Killed


def check(site: Site) -> None:
    """What holds at any time."""
    for actor in (actor for puppet in site.puppets for actor in puppet.actors):
        quiet = actor.error is None or isinstance(actor.error, Killed) or not actor.name.partition(": ")[2].startswith("run")
        assert quiet, f"{actor.name} raised {actor.error!r}"
    for task in site.stored:
        _check(site, task)
    starts = [engine.starts for engine in site.world.engines.values()]
    for name in set().union(*starts):
        times = sum(started.get(name, 0) for started in starts)
        assert times <= 1, f"the program of {name} was started {times} times"
    for engine in site.world.engines.values():
        running = [found.plan.name for found in engine._containers.values() if found.state.phase is Phase.RUNNING]
        tasks = [named(name) for name in running]
        assert len(running) == len({task[0] for task in tasks if task}), f"two attempts at once: {running}"
    assert not site.seen.late, f"stored although somebody else had the task: {site.seen.late}"
    assert not site.seen.started_late, f"cancelled while queued, and yet started: {site.seen.started_late}"


def _check(site: Site, task: Task) -> None:
    assert [entry.seq for entry in task.history] == list(range(1, task.seq + 1)), f"seq has gaps: {task.history}"
    path = [State.QUEUED, *(entry.status for entry in task.history)]
    assert [entry.source for entry in task.history] == path[:-1], f"the history is broken: {task.history}"
    assert task.status is path[-1], "the status is not that of the last row"
    if task.status in TERMINAL:
        bare = evolve(task, published=0, settled=False, lease=None)
        assert site.seen.ends.setdefault(task.id, bare) == bare, f"an end was changed: {task}"


def judge(site: Site) -> None:
    """What holds once nothing is left to do."""
    for task in site.stored:
        assert task.status in TERMINAL, f"it never ended: {task}"
        assert task.settled, f"its end was never settled: {task}"
        _judge_events(site, task)
        _judge_end(site, task)
        _judge_log(site, task)
    for host, engine in site.world.engines.items():
        assert not engine.containers, f"left on {host}: {engine.containers}"
        left = [path.name for path in (site.world.settings.spool_dir / host).rglob("*") if path.is_file()]
        assert not left, f"left in the spool of {host}: {left}"


def _judge_events(site: Site, task: Task) -> None:
    expected = Event.all_of(task, deployment=site.world.services.deployment)
    heard = [event for event in site.world.published if event.task_id == task.id and event.seq]
    assert list(dict.fromkeys(heard)) == expected[1:], "what was published is not what is stored"
    for start, mask in site.inboxes:
        inbox = [event for number, event in enumerate(site.world.published[start:]) if not mask >> (number % 8) & 1]
        bus = _Replay([event for event in inbox if event.task_id == task.id])
        seen = list(Client(_with(site.world.services, bus)).watch(task.id))
        assert seen == expected, f"a subscriber saw {seen}"


def _judge_end(site: Site, task: Task) -> None:
    own = OWN_END[tuple(task.request["command"])]
    status, _ = site.seen.cancelled.get(task.id, (None, 0))
    end = (task.status, task.cause)
    if status in {State.QUEUED, State.RUNNING}:
        assert end == (State.FAILED, Cause.CANCELLED), f"cancelled while {status}, but ended as {end}: {task.message}"
        return
    allowed = {own}
    allowed |= {(State.FAILED, Cause.CANCELLED)} if status else set()
    allowed |= {(State.FAILED, Cause.INFRASTRUCTURE)} if site.seen.faults or site.seen.given_up else set()
    allowed |= {(State.FAILED, Cause.UPLOAD)} if site.seen.faults or site.seen.given_up else set()
    allowed |= (
        {(State.FAILED, Cause.CONTAINER_LOST), (State.FAILED, Cause.INFRASTRUCTURE)} if task.id in site.seen.lost else set()
    )
    assert end in allowed, f"{end} is not what became of it: {task.message}; {task.attempts}"


def _judge_log(site: Site, task: Task) -> None:
    program = PROGRAMS[tuple(task.request["command"])]
    if task.logs is None:
        assert task.cause in {Cause.CANCELLED, Cause.INFRASTRUCTURE, Cause.UPLOAD}, f"no log of {task}"
        return
    gone = task.id in site.seen.lost or (site.seen.given_up and "its log could not be kept whole" in (task.message or ""))
    for stream, log in zip(Stream, (task.logs.stdout, task.logs.stderr), strict=True):
        stored = site.world.output(task, stream)
        whole = program.stdout if stream is Stream.STDOUT else program.stderr
        assert stored == whole or (log.truncated and gone), f"{stream} is {stored!r}: {log}"


class _Replay:
    """A bus that brings what one subscriber heard, and then nothing."""

    def __init__(self, inbox: list[Event]) -> None:
        self._inbox = inbox

    @contextmanager
    def subscribe(self, task_id: str | None) -> Iterator[Iterator[Event | None]]:  # noqa: ARG002
        """Once."""
        yield chain(self._inbox, repeat(None))


def _with(services: Services, bus: _Replay) -> Services:
    return Services(services.settings, services.store, bus, services.queue, services.logs, services.engine, services.lock)
