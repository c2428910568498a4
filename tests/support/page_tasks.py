"""Documents of tasks as workers would have written them, of any state, for what looks at them."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from attrs import evolve, frozen

from orchestrator.cause import Cause
from orchestrator.task.artifact import Artifact, Refusal
from orchestrator.task.codec import to_document
from orchestrator.task.document import Task
from orchestrator.task.values import Attempt, ContainerRef, Entry, LogObject, Logs, Metrics, Usage
from statemachine import TABLE, TERMINAL, State, Trigger

FORWARD = [State.QUEUED, State.RUNNING, State.COLLECTING, State.UPLOADING]
_MINE = frozenset({"id", "request"})


@frozen
class Story:
    """What became of a task. ``path`` are the states after queued, ``waits`` the seconds before each of them."""

    task_id: str
    request: Mapping[str, Any]
    path: tuple[State, ...] = ()
    waits: tuple[float, ...] = ()
    created_at: datetime = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    outcome: Mapping[str, Any] = {}
    stdout: bytes = b""
    stderr: bytes = b""
    dropped: int = 0
    """Bytes of stdout beyond its limit."""
    files: Mapping[str, bytes] = {}
    refused: Mapping[str, str] = {}
    metrics: Metrics | None = None
    past: tuple[Attempt, ...] = ()


def task(story: Story) -> Task:
    """Its task."""
    history = tuple(_history(story))
    current = history[-1].status if history else State.QUEUED
    own = Task(story.task_id, current, story.request, created_at=story.created_at, nonce=story.task_id)
    if not history:
        return own
    attempt = history[-1].attempt
    starts = [entry.at for entry in history if entry.status is State.RUNNING and entry.attempt == attempt]
    name = f"orchestrator-{story.task_id}-{attempt}"
    container = hashlib.sha256(name.encode()).hexdigest()
    return evolve(
        own,
        seq=len(history),
        attempt=attempt,
        history=history,
        published=len(history),
        worker="worker-1",
        engine="engine-1",
        started_at=starts[-1] if starts else None,
        container=ContainerRef(container, name, "engine-1") if starts else None,
        attempts=story.past,
        **(_end(story, history[-1].at, attempt) if current in TERMINAL else {}),
    )


def _end(story: Story, at: datetime, attempt: int) -> dict[str, Any]:
    artifacts = [
        Artifact(path, f"{story.task_id}/{attempt}/out/{path}", len(content), hashlib.sha256(content).hexdigest())
        for path, content in story.files.items()
    ]
    return {
        "finished_at": at,
        "finished_by": "worker-1",
        "logs": logs(story, attempt),
        "metrics": story.metrics,
        "artifacts_stored": tuple(artifacts),
        "artifacts_refused": tuple(Refusal(path, why) for path, why in story.refused.items()),
        **story.outcome,
    }


def _history(story: Story) -> Iterator[Entry]:
    at, source, attempt = story.created_at, State.QUEUED, 1
    for seq, (status, wait) in enumerate(zip(story.path, story.waits, strict=True), 1):
        at += timedelta(seconds=wait)
        attempt += status is State.QUEUED
        yield Entry(seq, _trigger(source, status), source, status, at, attempt)
        source = status


def _trigger(source: State, dest: State) -> Trigger:
    return next(row.trigger for row in TABLE if (row.source, row.dest) == (source, dest))


def logs(story: Story, attempt: int) -> Logs:
    """Where its output is."""
    streams = [
        LogObject(f"{story.task_id}/{attempt}/{name}.log", len(data), hashlib.sha256(data).hexdigest(), dropped > 0, dropped)
        for name, data, dropped in (("stdout", story.stdout, story.dropped), ("stderr", story.stderr, 0))
    ]
    return Logs("task-logs", *streams)


def document(own: Task) -> dict[str, Any]:
    """As the store has it."""
    fields = {
        name: getattr(own, name) for name in Task.blank() | {"status": 0, "seq": 0, "history": 0, "created_at": 0, "nonce": 0}
    }
    return {"_id": own.id, **own.request, **to_document(fields)}


def figures(seconds: float, memory: int, cpu: float, pids: int) -> Metrics:
    """What a run used that went on evenly."""
    samples = max(int(seconds * 4), 1)
    return Metrics(
        Usage(cpu * 130, cpu * 100), Usage(memory * 0.9, memory * 0.6), samples, seconds, seconds * cpu, 0.0, memory, pids
    )


def series(attempt: int, points: Sequence[tuple[float, float, int, int]]) -> dict[str, Any]:
    """The answer of the API about figures over time: seconds, percent of a CPU, bytes, processes."""
    columns = ["t", "cpu_percent", "memory_bytes", "pids"]
    return {"attempt": attempt, "interval": 0.25, "columns": columns, "points": [[*point] for point in points]}


def failed(task_id: str, request: Mapping[str, Any], cause: Cause, message: str, **more: Any) -> Story:
    """One that ran and failed."""
    outcome = {"cause": cause, "message": message, "exit_code": more.pop("exit_code", 1), "evidence": more.pop("evidence", {})}
    dest = State.TIMED_OUT if cause is Cause.TIMEOUT else State.FAILED
    waits = more.pop("waits", (0.3, 2.4, 0.05, 0.12))
    return Story(task_id, request, (*FORWARD[1:], dest), waits, outcome=outcome, **more)


def succeeded(task_id: str, request: Mapping[str, Any], **more: Any) -> Story:
    """One that ended well."""
    outcome = {"exit_code": 0, "message": "the program exited with 0"}
    waits = more.pop("waits", (0.2, 1.8, 0.04, 0.11))
    return Story(task_id, request, (*FORWARD[1:], State.SUCCEEDED), waits, outcome=outcome, **more)
