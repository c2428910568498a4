"""The transition table: data from which the machine, the diagrams and the tests are derived."""

from collections.abc import Iterator
from enum import StrEnum

from attrs import frozen

from statemachine.states import INITIAL, TERMINAL, State


class Trigger(StrEnum):
    """What moves a task; each is named after the one unit of work it does."""

    START = "start"
    WAIT = "wait"
    COLLECT = "collect"
    UPLOAD = "upload"
    RETRY = "retry"
    FAIL = "fail"


class Guard(StrEnum):
    """A question about the recorded outcome; exactly one is true once there is one."""

    EXITED_CLEANLY = "exited_cleanly"
    TRIES_AGAIN = "tries_again"
    RAN_OUT_OF_TIME = "ran_out_of_time"
    WENT_WRONG = "went_wrong"


class Slot(StrEnum):
    """The callbacks of a row, in the order in which they run."""

    WORK = "work"
    RECORD = "record"
    ANNOUNCE = "announce"
    RELEASE = "release"


@frozen
class Row:
    """One allowed transition. ``work`` says what that slot does, for readers of the diagrams."""

    trigger: Trigger
    source: State
    dest: State
    work: str
    guard: Guard | None = None

    @property
    def before(self) -> tuple[Slot, ...]:
        """What runs while the subject is in the source state. It may raise: then nothing has moved."""
        return (Slot.WORK, Slot.RECORD)

    @property
    def after(self) -> tuple[Slot, ...]:
        """What runs once the subject is in the destination. It must not raise; the end of an attempt is released."""
        return (Slot.ANNOUNCE, Slot.RELEASE) if self.dest in {*TERMINAL, INITIAL} else (Slot.ANNOUNCE,)


_UPLOAD = "put the log objects"
_RETRY = "bind the next attempt to this engine"
_FAIL = "nothing: the cause is handed in"
_ASIDE = frozenset({Trigger.RETRY, Trigger.FAIL})

TABLE: tuple[Row, ...] = (
    Row(Trigger.START, State.QUEUED, State.RUNNING, "make and start the container"),
    Row(Trigger.WAIT, State.RUNNING, State.COLLECTING, "wait for exit or deadline, record the outcome"),
    Row(Trigger.COLLECT, State.COLLECTING, State.UPLOADING, "complete the logs, sum up the metrics"),
    Row(Trigger.UPLOAD, State.UPLOADING, State.SUCCEEDED, _UPLOAD, Guard.EXITED_CLEANLY),
    Row(Trigger.UPLOAD, State.UPLOADING, State.QUEUED, _UPLOAD, Guard.TRIES_AGAIN),
    Row(Trigger.UPLOAD, State.UPLOADING, State.TIMED_OUT, _UPLOAD, Guard.RAN_OUT_OF_TIME),
    Row(Trigger.UPLOAD, State.UPLOADING, State.FAILED, _UPLOAD, Guard.WENT_WRONG),
    Row(Trigger.RETRY, State.QUEUED, State.QUEUED, _RETRY),
    Row(Trigger.RETRY, State.RUNNING, State.QUEUED, _RETRY),
    *(Row(Trigger.FAIL, state, State.FAILED, _FAIL) for state in State if state not in TERMINAL),
)


def rows_from(state: State, trigger: Trigger) -> Iterator[Row]:
    """The rows that ``trigger`` may take from ``state``; empty when the pair is not allowed."""
    return (row for row in TABLE if row.source == state and row.trigger == trigger)


def next_trigger(state: State) -> Trigger | None:
    """The trigger that carries a task in ``state`` forward, or None when the state is terminal."""
    if state in TERMINAL:
        return None
    return next(row.trigger for row in TABLE if row.source == state and row.trigger not in _ASIDE)
