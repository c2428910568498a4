"""The seven states of a task, and what each implies. Finer distinctions are causes on ``failed``."""

from collections.abc import Mapping
from enum import StrEnum

from attrs import frozen


class State(StrEnum):
    """Where a task is in its life; the value is what is stored and published."""

    QUEUED = "queued"
    RUNNING = "running"
    COLLECTING = "collecting"
    UPLOADING = "uploading"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"


@frozen
class Policy:
    """What a state implies, wherever it matters."""

    is_decided: bool = False
    """The outcome of the program is stored: it never runs again, and a cancellation comes too late."""
    is_terminal: bool = False
    """The task has ended."""


POLICIES: Mapping[State, Policy] = {
    State.QUEUED: Policy(),
    State.RUNNING: Policy(),
    State.COLLECTING: Policy(is_decided=True),
    State.UPLOADING: Policy(is_decided=True),
    State.SUCCEEDED: Policy(is_decided=True, is_terminal=True),
    State.FAILED: Policy(is_decided=True, is_terminal=True),
    State.TIMED_OUT: Policy(is_decided=True, is_terminal=True),
}
"""One row for each state."""

INITIAL = State.QUEUED
TERMINAL = frozenset(state for state, policy in POLICIES.items() if policy.is_terminal)
UNDECIDED = frozenset(state for state, policy in POLICIES.items() if not policy.is_decided)
KEEPING = frozenset(State) - TERMINAL - UNDECIDED
"""There is no program any more, but what it has left is not stored yet."""
