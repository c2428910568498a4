"""Which tasks may run at once: what they may use together fits a budget. Knows no container and no clock."""

import sys
import threading
from collections.abc import Callable, Mapping
from functools import cached_property
from math import fsum

from attrs import define, frozen

from orchestrator.errors import InvalidTask, Postponed
from orchestrator.task.request import Request
from orchestrator.task.units import format_size
from statemachine import KEEPING, State

OVERTAKEN = 16
"""How many later tasks may begin before one that waits: small ones use what room there is, but no large one waits for ever."""
_LOOK = 0.5
_ROUNDING = 1e-9


@frozen
class Share:
    """CPUs, and memory in bytes."""

    cpus: float
    memory: int


def needed(state: State, request: Request) -> Share:
    """All that the program may use; once it has ended what it may have left in /out, which was part of its memory."""
    limits = request.limits
    if state not in KEEPING:
        return Share(limits.cpus, limits.memory)
    return Share(0, min(limits.artifacts, limits.memory) if request.artifacts else 0)


@frozen
class Capacity:
    """What the engine's host has, and what the tasks of a worker may use of it together."""

    host: Share
    budget: Share

    @classmethod
    def of(cls, host: Share, cpu_overcommit: float, memory: int) -> "Capacity":
        """The host's CPUs times a factor, because tasks seldom use all that they may, and ``memory``, or all of the host's."""
        return cls(host, Share(host.cpus * cpu_overcommit, memory or host.memory))

    def check(self, share: Share) -> None:
        """Raise InvalidTask for a task that could never begin here, with a sentence for each limit."""
        cpus, memory = min(self.host.cpus, self.budget.cpus), min(self.host.memory, self.budget.memory)
        problems = []
        if share.cpus > cpus:
            problems.append(f"limits.cpus: {share.cpus:g} is more than the {cpus:g} that the engine's host has for tasks")
        if share.memory > memory:
            given, most = format_size(share.memory), format_size(memory)
            problems.append(f"limits.memory: {given} is more than the {most} that the engine's host has for tasks")
        if problems:
            raise InvalidTask(problems)


@define
class _Waiting:
    key: str
    share: Share
    overtaken: int = 0


class Line:
    """Who runs and who waits, in the order of asking. A task that fits begins, also before others that do not fit yet.

    When one that waits has been overtaken ``OVERTAKEN`` times, nobody behind it begins until it has. Of those that asked at
    most ``slots`` run at once; what is there in any case comes on top.
    """

    def __init__(self, budget: Share, slots: int = sys.maxsize) -> None:
        self._budget = budget
        self._slots = slots
        self._running: dict[str, Share] = {}
        self._taken: set[str] = set()
        self._waiting: list[_Waiting] = []

    @property
    def running(self) -> Mapping[str, Share]:
        """Those that have room, by key."""
        return self._running

    @property
    def waiting(self) -> int:
        """How many stand in line."""
        return len(self._waiting)

    @property
    def has_slot(self) -> bool:
        """Whether one more could begin if it needed next to nothing."""
        return len(self._running) - len(self._taken) < self._slots

    def ask(self, key: str, share: Share) -> None:
        """Stand in line; nothing for a key that runs or stands there."""
        if key not in self._running and all(each.key != key for each in self._waiting):
            self._waiting.append(_Waiting(key, share))
            self._admit()

    def take(self, key: str, share: Share) -> None:
        """Count what is there, whether or not there is room: in place of what the key had, and without a slot."""
        self._waiting = [each for each in self._waiting if each.key != key]
        self._running[key] = share
        self._taken.add(key)
        self._admit()

    def leave(self, key: str) -> None:
        """Give back the room, or leave the line; nothing for one that has done so."""
        self._running.pop(key, None)
        self._taken.discard(key)
        self._waiting = [each for each in self._waiting if each.key != key]
        self._admit()

    def _admit(self) -> None:
        stays: list[_Waiting] = []
        for each in self._waiting:
            if self._fits(each.share) and not any(other.overtaken >= OVERTAKEN for other in stays):
                self._running[each.key] = each.share
                for other in stays:
                    other.overtaken += 1
            else:
                stays.append(each)
        self._waiting = stays

    def _fits(self, share: Share) -> bool:
        cpus = fsum([share.cpus, *(each.cpus for each in self._running.values())])
        memory = share.memory + sum(each.memory for each in self._running.values())
        return self.has_slot and cpus <= self._budget.cpus + _ROUNDING and memory <= self._budget.memory


class Admission:
    """The line of one worker process, for its threads. ``capacity`` is asked for when it is needed first."""

    def __init__(self, capacity: Callable[[], Capacity], slots: int = sys.maxsize) -> None:
        self._capacity_of = capacity
        self._slots = slots
        self._changed = threading.Condition()
        self._closed = False

    @cached_property
    def capacity(self) -> Capacity:
        """What there is. Raises InfrastructureError."""
        return self._capacity_of()

    @cached_property
    def _line(self) -> Line:
        return Line(self.capacity.budget, self._slots)

    @property
    def places(self) -> int:
        """How many tasks the worker may hold at once: one that waits for room takes no slot from those that fit.

        At most as many wait here as there are slots; the others are left to other workers.
        """
        if "_line" not in self.__dict__:
            return self._slots
        with self._changed:
            waiting = self._line.waiting
            return self._slots + waiting if self._line.has_slot and waiting < self._slots else 0

    def ask(self, key: str, share: Share) -> bool:
        """Stand in line; whether there is room at once.

        Raises InvalidTask when there can never be enough, and InfrastructureError.
        """
        self.capacity.check(share)
        with self._changed:
            self._line.ask(key, share)
            return key in self._line.running

    def wait(self, key: str, give_up: Callable[[], bool]) -> None:
        """Wait until there is room, or until ``give_up`` says so, which leaves the line. Raises Postponed once it is closed."""
        with self._changed:
            while key not in self._line.running and not give_up() and not self._closed:
                self._changed.wait(_LOOK)
            if key not in self._line.running:
                self._leave(key)
                if self._closed and not give_up():
                    raise Postponed("there was no room before the worker was to stop")

    def close(self) -> None:
        """Let nobody wait any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def pause(self, seconds: float) -> None:
        """Sleep, but no longer than until it is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed, seconds)

    @property
    def closed(self) -> bool:
        """Whether the worker is to stop."""
        return self._closed

    def take(self, key: str, share: Share) -> None:
        """Count what is there already of a task: its program, or what is left of it. Raises InfrastructureError."""
        with self._changed:
            self._line.take(key, share)
            self._changed.notify_all()

    def leave(self, key: str) -> None:
        """Give back the room, where there was any."""
        with self._changed:
            if "_line" in self.__dict__:
                self._leave(key)

    def _leave(self, key: str) -> None:
        self._line.leave(key)
        self._changed.notify_all()
