"""Why a task did not succeed: the closed set behind ``cause``, and what each cause implies."""

from enum import StrEnum
from typing import Self

from attrs import frozen


@frozen
class Rule:
    """What follows from a cause, wherever it matters."""

    meaning: str
    """A sentence for people."""
    is_retried: bool = False
    """The program failed by itself: the task's own ``retries`` start it again."""
    is_proof: bool = False
    """It explains the program's end, whatever became of the engine since."""
    keeps_exit_code: bool = False
    """The exit code is the program's own, as `docker run` would give it."""


class Cause(StrEnum):
    """The value of ``cause`` on a task that ended failed or timed_out; it is null on one that succeeded. A row for each."""

    _value_: str
    rule: Rule

    def __new__(cls, value: str, rule: Rule | None = None) -> Self:
        """Each row has a rule; ``Cause("exit")`` finds a row by its value."""
        if rule is None:
            raise TypeError(f"the cause {value} has no rule")
        cause = str.__new__(cls, value)
        cause._value_ = value
        cause.rule = rule
        return cause

    EXIT = "exit", Rule("the program ended with a status other than 0", is_retried=True, keeps_exit_code=True)
    SIGNAL = (
        "signal",
        Rule("the program was ended by a signal that the worker did not send", is_retried=True, keeps_exit_code=True),
    )
    OOM = (
        "oom",
        Rule(
            "the kernel killed the program because the container reached its memory limit",
            is_retried=True,
            is_proof=True,
            keeps_exit_code=True,
        ),
    )
    OUTPUT_LIMIT = (
        "output_limit",
        Rule("a stream passed its limit; the program was ended, unless it had ended by then", is_retried=True, is_proof=True),
    )
    TIMEOUT = (
        "timeout",
        Rule(
            "its wall time or CPU time was used up; the program was ended, unless it had ended by then (timed_out)",
            is_retried=True,
        ),
    )
    CANCELLED = "cancelled", Rule("somebody asked for the task to be ended", is_proof=True)
    INVALID = "invalid", Rule("the task document breaks its contract; nothing was started")
    IMAGE = (
        "image",
        Rule("the image cannot be had: none there, a registry that refuses or may not be asked, a pull past its bounds"),
    )
    CONTAINER_LOST = "container_lost", Rule("the container was removed by somebody else")
    UPLOAD = "upload", Rule("the log could not be stored; or not all of it, of a program that exited with 0")
    INFRASTRUCTURE = "infrastructure", Rule("a service the worker needs did not do its part; retries did not help, or cannot")
