"""The transition table, written out once by hand: what the tests hold the running one against."""

from statemachine import TABLE, Guard, Lifecycle, NotAllowed, Row, State, Trigger
from tests.support.subjects import Thing, drive

Moves = dict[tuple[State, Trigger], dict[Guard | None, State]]

EXPECTED: Moves = {
    (State.QUEUED, Trigger.START): {None: State.RUNNING},
    (State.RUNNING, Trigger.WAIT): {None: State.COLLECTING},
    (State.COLLECTING, Trigger.COLLECT): {None: State.UPLOADING},
    (State.UPLOADING, Trigger.UPLOAD): {
        Guard.EXITED_CLEANLY: State.SUCCEEDED,
        Guard.TRIES_AGAIN: State.QUEUED,
        Guard.RAN_OUT_OF_TIME: State.TIMED_OUT,
        Guard.WENT_WRONG: State.FAILED,
    },
    (State.QUEUED, Trigger.RETRY): {None: State.QUEUED},
    (State.RUNNING, Trigger.RETRY): {None: State.QUEUED},
    (State.QUEUED, Trigger.FAIL): {None: State.FAILED},
    (State.RUNNING, Trigger.FAIL): {None: State.FAILED},
    (State.COLLECTING, Trigger.FAIL): {None: State.FAILED},
    (State.UPLOADING, Trigger.FAIL): {None: State.FAILED},
}
RELEASED = {State.QUEUED, State.SUCCEEDED, State.FAILED, State.TIMED_OUT}
"""Where an attempt is over, so that what it used is let go of."""
ROWS = [(*pair, guard, dest) for pair, dests in EXPECTED.items() for guard, dest in dests.items()]
PAIRS = [(state, trigger) for state in State for trigger in Trigger]
OUTCOMES = [*Guard, None]


def written(table: tuple[Row, ...] = TABLE) -> Moves:
    """What the table says."""
    moves: Moves = {}
    for row in table:
        moves.setdefault((row.source, row.trigger), {})[row.guard] = row.dest
    return moves


def expected(state: State, trigger: Trigger, holds: Guard | None) -> State | None:
    """Where the pair leads while ``holds`` is the guard that is true, or None when it leads nowhere."""
    dests = EXPECTED.get((state, trigger), {})
    return dests.get(None) or dests.get(holds)


def observed(machine: Lifecycle[Thing, str], state: State, trigger: Trigger, holds: Guard | None) -> State | None:
    """The same, as the running machine has it."""
    thing = Thing(state, holds)
    try:
        drive(machine, thing, trigger)
    except NotAllowed:
        return None
    return thing.state
