"""Drives one subject through the table. The only module that imports ``transitions``.

The order of the callbacks is the correctness argument. An exception in a *before* callback leaves the subject in its source
state; in an *after* callback the subject has already moved. So every row runs

    before = [work, record]             may raise: the subject has not moved
    after  = [announce, release]        must not raise; release on terminal states only
"""

import logging
from collections.abc import Callable, Mapping
from typing import Generic, Protocol, TypeVar

from attrs import frozen
from transitions import EventData, Machine, MachineError

from statemachine.states import INITIAL, TERMINAL, State
from statemachine.table import TABLE, Guard, Row, Trigger


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


class Lifecycle(Generic[S, R]):
    """The machine, built from the table once and shared by all subjects and threads: it keeps nothing about either."""

    def __init__(self, bindings: Bindings[S, R]) -> None:
        logging.getLogger("transitions").setLevel(logging.WARNING)
        self._bindings = bindings
        self._machine = Machine(
            model=None, states=State, initial=INITIAL, auto_transitions=False, send_event=True, queued=False
        )
        for row in TABLE:
            self._add(row)

    def fire(self, subject: S, trigger: Trigger) -> None:
        """Do the work of ``trigger``, record it, move. Raises what work or record raise, or NotAllowed; then nothing moved."""
        self._trigger(subject, trigger)

    def fail(self, subject: S, result: R) -> None:
        """Move to failed from any state that is not terminal, recording ``result`` (it carries the cause)."""
        self._trigger(subject, Trigger.FAIL, result)

    def _trigger(self, subject: S, trigger: Trigger, *given: R) -> None:
        source = subject.state
        try:
            moved = self._machine.events[trigger].trigger(subject, *given)
        except MachineError:
            moved = False
        if not moved:
            raise NotAllowed(trigger, source)

    def _add(self, row: Row) -> None:
        guards = [] if row.guard is None else [self._guard(self._bindings.guards[row.guard])]
        self._machine.add_transition(
            str(row.trigger),
            row.source,
            row.dest,
            conditions=guards,
            before=[self._work, self._record],
            after=[self._announce] + ([self._release] if row.dest in TERMINAL else []),
        )

    @staticmethod
    def _guard(holds: Callable[[S], bool]) -> Callable[[EventData], bool]:
        return lambda event: bool(holds(event.model))

    def _work(self, event: EventData) -> None:
        trigger = Trigger(event.event.name)
        event.kwargs["result"] = event.args[0] if trigger == Trigger.FAIL else self._bindings.work[trigger](event.model)

    def _record(self, event: EventData) -> None:
        self._bindings.record(event.model, _step(event), event.kwargs["result"])

    def _announce(self, event: EventData) -> None:
        self._bindings.announce(event.model, _step(event))

    def _release(self, event: EventData) -> None:
        self._bindings.release(event.model)


def _step(event: EventData) -> Step:
    return Step(Trigger(event.event.name), State[event.transition.source], State[event.transition.dest])
