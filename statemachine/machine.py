"""Drives one subject through the table. The only module that imports ``transitions``.

The order of the callbacks is the correctness argument. An exception in a *before* callback leaves the subject in its source
state; in an *after* callback the subject has already moved. So every row runs

    before = [work, record]             may raise: the subject has not moved
    after  = [announce, release]        must not raise; release at the end of an attempt: a terminal state, or queued again
"""

import logging
from collections.abc import Callable, Mapping
from typing import Generic, Protocol, TypeVar

from attrs import define, field, frozen
from transitions import Machine

from statemachine.states import INITIAL, State
from statemachine.table import TABLE, Guard, Row, Slot, Trigger


class Subject(Protocol):
    """What a lifecycle moves: anything with a ``state``."""

    state: State


S = TypeVar("S", bound=Subject)
R = TypeVar("R")


class NotAllowed(Exception):
    """The table has no row for this trigger in this state, or no guard of it holds."""

    def __init__(self, trigger: Trigger, state: State) -> None:
        super().__init__(f"{trigger} is not allowed in state {state}")
        self.trigger = trigger
        self.state = state


@frozen
class Step:
    """One move of the table, as handed to ``record`` and ``announce``."""

    trigger: Trigger
    source: State
    dest: State


@frozen
class Bindings(Generic[S, R]):
    """What the lifecycle calls. ``work`` returns what ``record`` stores; ``fail`` has no work of its own."""

    work: Mapping[Trigger, Callable[[S], R]]
    guards: Mapping[Guard, Callable[[S], bool]]
    record: Callable[[S, Step, R], None]
    announce: Callable[[S, Step], None]
    release: Callable[[S], None]


@define
class _Firing(Generic[S, R]):
    """One call of a trigger: whom it moves, the work it does, and then what the work returned."""

    subject: S
    work: Callable[[S], R]
    result: R = field(init=False)


class Lifecycle(Generic[S, R]):
    """The machine, built from the table once and shared by all subjects and threads: it keeps nothing about either."""

    def __init__(self, bindings: Bindings[S, R]) -> None:
        logging.getLogger("transitions").setLevel(logging.WARNING)  # it writes a line for each callback
        self.bindings = bindings
        self._machine = Machine(model=None, states=State, initial=INITIAL, auto_transitions=False, queued=False)
        for row in TABLE:
            self._add(row)
        for trigger in {row.trigger for row in TABLE} - {Trigger.FAIL}:
            bindings.work[trigger]  # a missing one shows now, not when a task needs it

    def fire(self, subject: S, trigger: Trigger) -> None:
        """Do the work of ``trigger``, record it, move. Raises what work or record raise, or NotAllowed; then nothing moved."""
        self._run(trigger, _Firing(subject, self.bindings.work[trigger]))

    def fail(self, subject: S, result: R) -> None:
        """Move to failed from any state that is not terminal, recording ``result`` (it carries the cause)."""
        self._run(Trigger.FAIL, _Firing(subject, lambda _: result))

    def _run(self, trigger: Trigger, firing: _Firing[S, R]) -> None:
        source = firing.subject.state
        allowed = trigger in self._machine.get_triggers(source)
        if not (allowed and self._machine.events[trigger].trigger(firing.subject, firing)):
            raise NotAllowed(trigger, source)

    def _add(self, row: Row) -> None:
        slots = self._slots(Step(row.trigger, row.source, row.dest))
        self._machine.add_transition(
            str(row.trigger),
            row.source,
            row.dest,
            conditions=[] if row.guard is None else [self._guard(row.guard)],
            before=[slots[slot] for slot in row.before],
            after=[slots[slot] for slot in row.after],
        )

    def _slots(self, step: Step) -> dict[Slot, Callable[[_Firing[S, R]], None]]:
        bound = self.bindings
        return {
            Slot.WORK: _work,
            Slot.RECORD: lambda firing: bound.record(firing.subject, step, firing.result),
            Slot.ANNOUNCE: lambda firing: bound.announce(firing.subject, step),
            Slot.RELEASE: lambda firing: bound.release(firing.subject),
        }

    def _guard(self, guard: Guard) -> Callable[[_Firing[S, R]], bool]:
        holds = self.bindings.guards[guard]
        return lambda firing: bool(holds(firing.subject))  # transitions compares with == True


def _work(firing: _Firing[S, R]) -> None:
    firing.result = firing.work(firing.subject)
