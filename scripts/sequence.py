"""The sequence diagram of a task that succeeds, recorded from a run on the adapters in memory."""

import tempfile
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from attrs import evolve

from orchestrator.app import Services
from orchestrator.client import Client
from orchestrator.execution.runner import Runner
from orchestrator.ports import Move
from orchestrator.settings.settings import Settings
from orchestrator.task.event import Event
from orchestrator.testing.engine import MemoryEngine
from orchestrator.testing.event_bus import MemoryEventBus
from orchestrator.testing.lock import MemoryLock
from orchestrator.testing.object_store import MemoryObjectStore
from orchestrator.testing.programs import Program
from orchestrator.testing.queue import MemoryQueue
from orchestrator.testing.task_store import MemoryTaskStore
from scripts.pages import NOTICE
from statemachine import Lifecycle

TASK = "t1"
_TEXT = """\
# A task that succeeds

Every call of a port by the thread that runs the task, in the slots of each transition. Beside it, threads read the output,
sample the use of CPU and memory, and keep the lease.
"""
PARTICIPANTS = {
    "owner": "owner of the task",
    "queue": "Queue: Redis, RQ",
    "worker": "worker",
    "store": "TaskStore: MongoDB",
    "events": "EventBus: Redis",
    "engine": "Engine: Docker",
    "logs": "ObjectStore: MinIO",
}


def sequence_page() -> str:
    """The page with the diagram."""
    participants = [f"    participant {name} as {title}\n" for name, title in PARTICIPANTS.items()]
    lines = [f"    {line}\n" for line in _recorded()]
    return f"{NOTICE}{_TEXT}\n```mermaid\nsequenceDiagram\n{''.join(participants)}{''.join(lines)}```\n"


def _recorded() -> list[str]:
    lines: list[str] = []
    program = Program(stdout=b"hello\n")
    ports = {
        "store": MemoryTaskStore(),
        "events": MemoryEventBus(),
        "queue": MemoryQueue(),
        "logs": MemoryObjectStore(),
        "engine": MemoryEngine({("echo", "hello"): program}),
        "lock": MemoryLock(),
    }
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(spool_dir=Path(folder), worker_name="worker")
        owner, worker = (_as_seen_by(actor, settings, ports, lines) for actor in ("owner", "worker"))
        Client(owner).submit({"image": "busybox", "command": ["echo", "hello"]}, TASK)
        lines.append(f"queue->>worker: run_task({TASK})")
        _with_slots(worker.runner, lines).run(TASK)
    return lines


class _Seen:
    """A port that writes down each call of the thread that made it, and passes it on."""

    def __init__(self, actor: str, name: str, port: object, lines: list[str]) -> None:
        self._actor, self._name, self._port, self._lines = actor, name, port, lines
        self._thread = threading.get_ident()

    def __getattr__(self, method: str) -> Any:
        found = getattr(self._port, method)
        return partial(self._call, method, found) if callable(found) else found

    def _call(self, method: str, function: Callable[..., object], *args: object, **kwargs: object) -> object:
        if threading.get_ident() == self._thread:
            self._lines.append(f"{self._actor}->>{self._name}: {method}({_shown(args)})")
        return function(*args, **kwargs)


def _shown(args: tuple[object, ...]) -> str:
    """The first argument, where it says something that is the same in every run."""
    match args:
        case (Move() as move, *_):
            return f"{move.entry.source} → {move.entry.status}"
        case (Event() as event, *_):
            return f"seq {event.seq}, {event.status}"
        case (str(text), *_) if "#" not in text:  # mermaid's escape, and only this engine's ids have one
            return text
    return ""


def _as_seen_by(actor: str, settings: Settings, ports: dict[str, object], lines: list[str]) -> Services:
    seen: dict[str, Any] = {name: _Seen(actor, name, port, lines) for name, port in ports.items()}
    return Services(settings, **seen)


def _with_slots(runner: Runner, lines: list[str]) -> Runner:
    """The same runner, with a note where each slot begins."""

    def noted(function: Callable[..., Any], note: str) -> Callable[..., Any]:
        def call(*args: object) -> object:
            lines.append(f"Note over worker: {note}")
            return function(*args)

        return call

    bindings = runner.lifecycle.bindings
    work = {trigger: noted(function, f"{trigger}: work") for trigger, function in bindings.work.items()}
    marked = evolve(
        bindings,
        work=work,
        record=noted(bindings.record, "record"),
        announce=noted(bindings.announce, "announce"),
        release=noted(bindings.release, "release"),
    )
    return evolve(runner, lifecycle=Lifecycle(marked))
