"""Wraps a port so that a scripted call fails: an error before or after its effect, or the death of the process."""

import threading
from collections import Counter
from collections.abc import Callable
from enum import Enum
from typing import Any

from attrs import define, field, frozen

from orchestrator.errors import InfrastructureError


class Killed(SystemExit):
    """The process died here; nothing of it may do anything afterwards."""


AWAY = InfrastructureError("process", "dead")
"""What the threads beside a task get to see, which they pass over in silence until they are told to end."""


class When(Enum):
    """Whether the call had its effect before it failed."""

    BEFORE = "before"
    AFTER = "after"


@frozen
class Fault:
    """The ``nth`` call of ``method`` (from 1) fails with ``error``, before or after its effect."""

    method: str
    nth: int
    when: When
    error: BaseException


@define
class Process:
    """One worker process: faults to come, calls made, and whether it is dead."""

    faults: list[Fault] = field(factory=list)
    calls: Counter[str] = field(factory=Counter)
    log: list[str] = field(factory=list)
    dead: bool = False
    _lock: threading.Lock = field(factory=threading.Lock)

    def call(self, name: str, function: Callable[..., object], args: tuple[object, ...], kwargs: dict[str, object]) -> object:
        """Make the call unless the process is dead or a fault is due."""
        with self._lock:
            if self.dead:
                raise Killed if threading.current_thread() is threading.main_thread() else AWAY.with_traceback(None)
            self.calls[name] += 1
            self.log.append(name)
            count = self.calls[name]
            due = next((fault for fault in self.faults if (fault.method, fault.nth) == (name, count)), None)
        if due and due.when is When.BEFORE:
            self._strike(due)
        result = function(*args, **kwargs)
        if due:
            self._strike(due)
        return result

    def _strike(self, fault: Fault) -> None:
        self.dead = isinstance(fault.error, Killed)
        raise fault.error.with_traceback(None)  # one that is raised again and again keeps no frames of all runs


class Guarded:
    """A port as seen by one process."""

    def __init__(self, process: Process, port: object) -> None:
        self._process = process
        self._port = port

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._port, name)
        if not callable(value):
            return value
        return lambda *args, **kwargs: self._process.call(name, value, args, kwargs)
