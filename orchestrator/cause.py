"""Why a task did not succeed: the closed set behind ``cause``, and what each cause implies."""

from collections.abc import Mapping
from enum import StrEnum

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
    """The value of ``cause`` on a task that ended failed or timed_out; it is null on one that succeeded."""

    EXIT = "exit"
    SIGNAL = "signal"
    OOM = "oom"
    OUTPUT_LIMIT = "output_limit"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"
    INVALID = "invalid"
    IMAGE = "image"
    CONTAINER_LOST = "container_lost"
    UPLOAD = "upload"
    INFRASTRUCTURE = "infrastructure"

    @property
    def rule(self) -> Rule:
        """The cause's row of the table."""
        return RULES[self]


RULES: Mapping[Cause, Rule] = {
    Cause.EXIT: Rule("the program ended with a status other than 0", is_retried=True, keeps_exit_code=True),
    Cause.SIGNAL: Rule("the program was ended by a signal that the worker did not send", is_retried=True, keeps_exit_code=True),
    Cause.OOM: Rule(
        "the kernel killed the program because the container reached its memory limit",
        is_retried=True,
        is_proof=True,
        keeps_exit_code=True,
    ),
    Cause.OUTPUT_LIMIT: Rule(
        "a stream passed its limit; the program was ended, unless it had ended by then", is_retried=True, is_proof=True
    ),
    Cause.TIMEOUT: Rule(
        "its wall time or CPU time was used up; the program was ended, unless it had ended by then (timed_out)",
        is_retried=True,
    ),
    Cause.CANCELLED: Rule("somebody asked for the task to be ended", is_proof=True),
    Cause.INVALID: Rule("the task document breaks its contract; nothing was started"),
    Cause.IMAGE: Rule(
        "the image cannot be had: none there, a registry that refuses or may not be asked, a pull past its bounds"
    ),
    Cause.CONTAINER_LOST: Rule("the container was removed by somebody else"),
    Cause.UPLOAD: Rule("the log could not be stored; or not all of it, of a program that exited with 0"),
    Cause.INFRASTRUCTURE: Rule("a service the worker needs did not do its part, past the budget for retries"),
}
"""One row for each cause."""
