"""Whole tasks for tests of what is stored and published."""

from datetime import UTC, datetime, timedelta

from orchestrator.cause import Cause
from orchestrator.task.document import Task
from orchestrator.task.values import Attempt, ContainerRef, Entry, Lease, LogObject, Logs, Metrics, Usage
from statemachine import State, Trigger

BEGAN = datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)
PATH = [State.QUEUED, State.RUNNING, State.COLLECTING, State.UPLOADING, State.FAILED]


def entries() -> tuple[Entry, ...]:
    """The history of a task that went all the way."""
    steps = zip([*Trigger], PATH, PATH[1:], strict=False)
    return tuple(Entry(seq, *step, BEGAN + timedelta(seconds=seq)) for seq, step in enumerate(steps, 1))


def finished() -> Task:
    """A task with every field set."""
    return Task(
        id="t1",
        status=State.FAILED,
        request={"image": "busybox", "command": ["false"]},
        seq=4,
        attempt=2,
        history=entries(),
        published=4,
        created_at=BEGAN,
        started_at=BEGAN + timedelta(seconds=1),
        finished_at=BEGAN + timedelta(seconds=4),
        worker="w1",
        container=ContainerRef("c1", "orchestrator-t1-1", "engine"),
        exit_code=1,
        cause=Cause.EXIT,
        message="the program exited with 1",
        evidence={"exit_code": 1, "engine": {"oom_killed": False, "notes": ["a", None]}},
        logs=Logs("task-logs", LogObject("t1/1/stdout.log", 3, "aa", False), LogObject("t1/1/stderr.log", 0, "bb", True)),
        metrics=Metrics(Usage(99.5, 50.0), None, 3, 2.5),
        attempts=(Attempt(1, BEGAN, BEGAN, None, Cause.INFRASTRUCTURE, "docker: the engine is away", None, None),),
        engine="engine",
        cancel_requested_at=BEGAN,
        settled=False,
        lease=Lease("w1", "token", BEGAN + timedelta(seconds=10)),
    )
