"""Why a task did not succeed: the closed set behind ``cause``."""

from enum import StrEnum


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


EXPLANATIONS: dict[Cause, str] = {
    Cause.EXIT: "the program ended with a status other than 0",
    Cause.SIGNAL: "the program was ended by a signal that the worker did not send",
    Cause.OOM: "the kernel killed the program because the container reached its memory limit",
    Cause.OUTPUT_LIMIT: "a stream passed its limit; the program was ended, unless it had ended by then",
    Cause.TIMEOUT: "its wall time or CPU time was used up; the program was ended, unless it had ended by then (timed_out)",
    Cause.CANCELLED: "somebody asked for the task to be ended",
    Cause.INVALID: "the task document breaks its contract; nothing was started",
    Cause.IMAGE: "the image cannot be had: none there, a registry that refuses or may not be asked, a pull past its bounds",
    Cause.CONTAINER_LOST: "the container was removed by somebody else",
    Cause.UPLOAD: "the log could not be stored; or not all of it, of a program that exited with 0",
    Cause.INFRASTRUCTURE: "a service the worker needs did not do its part, past the budget for retries",
}
