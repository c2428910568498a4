"""The seven states of a task, and nothing else. Finer distinctions are causes on ``failed``."""

from enum import StrEnum


class State(StrEnum):
    """Where a task is in its life; the value is what is stored and published."""

    QUEUED = "queued"
    RUNNING = "running"
    COLLECTING = "collecting"
    UPLOADING = "uploading"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"


INITIAL = State.QUEUED
TERMINAL = frozenset({State.SUCCEEDED, State.FAILED, State.TIMED_OUT})
