"""The seven states of a task, and what each implies. Finer distinctions are causes on ``failed``."""

from enum import StrEnum
from typing import Self

from attrs import frozen


@frozen
class Policy:
    """What a state implies, wherever it matters."""

    is_decided: bool = False
    """The outcome of the program is stored: it never runs again, and a cancellation comes too late."""
    is_terminal: bool = False
    """The task has ended."""


class State(StrEnum):
    """Where a task is in its life, a row for each; the value is what is stored and published."""

    _value_: str
    policy: Policy

    def __new__(cls, value: str, policy: Policy | None = None) -> Self:
        """Each row has a policy; ``State("queued")`` finds a row by its value."""
        if policy is None:
            raise TypeError(f"the state {value} has no policy")
        state = str.__new__(cls, value)
        state._value_ = value
        state.policy = policy
        return state

    QUEUED = "queued", Policy()
    RUNNING = "running", Policy()
    COLLECTING = "collecting", Policy(is_decided=True)
    UPLOADING = "uploading", Policy(is_decided=True)
    SUCCEEDED = "succeeded", Policy(is_decided=True, is_terminal=True)
    FAILED = "failed", Policy(is_decided=True, is_terminal=True)
    TIMED_OUT = "timed_out", Policy(is_decided=True, is_terminal=True)


INITIAL = State.QUEUED
TERMINAL = frozenset(state for state in State if state.policy.is_terminal)
UNDECIDED = frozenset(state for state in State if not state.policy.is_decided)
KEEPING = frozenset(State) - TERMINAL - UNDECIDED
"""There is no program any more, but what it has left is not stored yet."""
