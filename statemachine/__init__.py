"""The life of a task as a pure state machine: states, triggers, the table, the lifecycle that runs it."""

from statemachine.machine import Bindings, Lifecycle, NotAllowed, Step, Subject
from statemachine.states import INITIAL, KEEPING, TERMINAL, UNDECIDED, Policy, State
from statemachine.table import TABLE, Guard, Row, Slot, Trigger, next_trigger, rows_from

__all__ = [
    "INITIAL", "KEEPING", "TABLE", "TERMINAL", "UNDECIDED", "Bindings", "Guard", "Lifecycle", "NotAllowed",
    "Policy", "Row", "Slot", "State", "Step", "Subject", "Trigger", "next_trigger", "rows_from",
]  # fmt: skip
