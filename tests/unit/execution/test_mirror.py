"""Whatever fails and wherever a worker dies: document, returned task and last event agree, and nothing runs twice."""

import tempfile
from pathlib import Path

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.errors import InfrastructureError
from orchestrator.ports import Stream
from orchestrator.task.document import Task
from orchestrator.task.event import Event
from orchestrator.testing.programs import FOREVER, Program
from statemachine import TERMINAL, State
from tests.support.faults import Fault, Killed, Process, When
from tests.support.tars import out
from tests.support.world import World

PROGRAM = ("program",)
REQUEST = {"image": "busybox", "command": ["program"], "artifacts": ["kept"]}
CALLS = [
    "claim",
    "pull",
    "create",
    "attach",
    "start",
    "identity",
    "wait",
    "archive",
    "put",
    "advance",
    "publish",
    "settle",
    "remove",
]
PROGRAMS = [Program(stdout=b"out", stderr=b"err", out=out(kept=b"kept")), Program(exit_code=3, stdout=b"out"), FOREVER]


def errors() -> st.SearchStrategy[BaseException]:
    """A fault that passes, a bug, or the death of the process."""
    return st.sampled_from([InfrastructureError("service", "hiccup"), RuntimeError("a bug"), Killed()])


def faults() -> st.SearchStrategy[Fault]:
    """Any call failing at any time, before or after its effect."""
    return st.builds(Fault, st.sampled_from(CALLS), st.integers(1, 5), st.sampled_from(When), errors())


def finish(world: World, processes: list[Process]) -> Task | None:
    """Deliver the task to one process after the other, each dying or giving up, until one brings it to its end."""
    ended = None
    for process in [*processes, Process()]:
        try:
            ended = world.worker(process).run("t") or ended
        except (Killed, InfrastructureError, RuntimeError):
            world.expire_leases()
    return ended


def check(world: World, ended: Task | None) -> None:
    """The invariants."""
    task = world.client.get("t")
    assert task.status in TERMINAL
    assert ended is None or evolve(ended, published=task.published, settled=task.settled, lease=task.lease) == task
    assert [entry.seq for entry in task.history] == list(range(1, task.seq + 1))
    assert [entry.source for entry in task.history] == [State.QUEUED, *(entry.status for entry in task.history[:-1])]
    assert task.history[-1].status is task.status
    assert set(world.engine.starts.values()) <= {1}
    world.expire_leases()
    world.sweep().once(30)
    assert world.client.get("t").settled
    assert list(dict.fromkeys(world.published)) == Event.all_of(task, deployment=world.services.deployment)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(PROGRAMS), st.lists(st.lists(faults(), max_size=3), max_size=3))
def test_the_document_the_task_and_the_events_agree_after_any_faults(program: Program, scripts: list[list[Fault]]) -> None:
    """Processes that fail and die in any scripted way leave one history that every mirror shows."""
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder), {PROGRAM: program})
        world.client.submit(REQUEST, "t")
        check(world, finish(world, [Process(list(script)) for script in scripts]))


def calls_of_a_run(folder: Path) -> list[str]:
    """The names of all calls that a run on the happy path makes, in order."""
    trial = Process()
    world = World(folder, {PROGRAM: PROGRAMS[0]})
    world.client.submit(REQUEST, "t")
    world.worker(trial).run("t")
    return trial.log


def test_a_death_at_any_call_is_resumed(tmp_path: Path) -> None:
    """The next process goes on from what is stored and from the container; the command ran once and the output is whole."""
    calls = calls_of_a_run(tmp_path / "trial")
    last_write = max(index for index, name in enumerate(calls) if name == "advance")
    for index, name in enumerate(calls):
        for when in When:
            world = World(tmp_path / f"{index}-{when}", {PROGRAM: PROGRAMS[0]})
            world.client.submit(REQUEST, "t")
            ended = finish(world, [Process([Fault(name, calls[: index + 1].count(name), when, Killed())])])
            check(world, ended)
            task = world.client.get("t")
            assert task.status is State.SUCCEEDED, (name, when)
            assert world.output(task, Stream.STDOUT) == b"out"
            assert b"".join(world.client.artifact("t", "kept")) == b"kept"
            stored = index > last_write or (index == last_write and when is When.AFTER)
            assert not world.engine.containers or stored, (name, when)
