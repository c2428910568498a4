"""Which slot a callback sits in decides what an exception leaves behind: proven for every row, slot and kind of exception."""

import pytest

from statemachine import Bindings, Guard, Lifecycle, NotAllowed, State, Step, Trigger
from tests.support.subjects import GIVEN, Slot, Thing, drive, lifecycle
from tests.support.table import RELEASED, ROWS

Moved = tuple[State, Trigger, Guard | None, State]
RAISED = [RuntimeError("broken"), SystemExit(3), KeyboardInterrupt(), NotAllowed(Trigger.START, State.QUEUED)]


def called(row: Moved) -> list[Slot]:
    """The slots that note themselves: release where an attempt is over, and no work for fail, which is handed its result."""
    absent = {Slot.WORK: row[1] == Trigger.FAIL, Slot.RELEASE: row[3] not in RELEASED}
    return [slot for slot in Slot if not absent.get(slot)]


def slots(*wanted: Slot) -> pytest.MarkDecorator:
    """Each row with each of the ``wanted`` slots that it has."""
    cases = [(row, slot) for row in ROWS for slot in called(row) if slot in wanted]
    return pytest.mark.parametrize(("row", "slot"), cases, ids=lambda value: value if isinstance(value, str) else _name(value))


def _name(row: Moved) -> str:
    return f"{row[0]}-{row[1]}-{row[3]}"


every_row = pytest.mark.parametrize("row", ROWS, ids=_name)
every_error = pytest.mark.parametrize("error", RAISED, ids=lambda error: type(error).__name__)


@every_row
def test_slots_run_in_order(row: Moved) -> None:
    """Work, record, announce, and release where an attempt is over; the first two see the source, the rest the destination."""
    source, trigger, guard, dest = row
    thing = Thing(source, guard)
    drive(lifecycle(), thing, trigger)
    seen = {Slot.WORK: source, Slot.RECORD: source, Slot.ANNOUNCE: dest, Slot.RELEASE: dest}
    assert [(call.slot, call.state) for call in thing.calls] == [(slot, seen[slot]) for slot in called(row)]


@every_row
def test_record_and_announce_are_handed_the_step(row: Moved) -> None:
    """Record gets the step and what work returned (or fail was given), announce the same step."""
    source, trigger, guard, dest = row
    thing = Thing(source, guard)
    drive(lifecycle(), thing, trigger)
    by_slot = {call.slot: call for call in thing.calls}
    assert by_slot[Slot.RECORD].step == by_slot[Slot.ANNOUNCE].step == Step(trigger, source, dest)
    assert by_slot[Slot.RECORD].result == (GIVEN if trigger == Trigger.FAIL else f"result of {trigger}")


@slots(Slot.WORK, Slot.RECORD)
@every_error
def test_exception_before_the_move_leaves_the_source_state(row: Moved, slot: Slot, error: BaseException) -> None:
    """It comes out as it was raised, the state stays, nothing later runs, and the same trigger may be pulled again."""
    source, trigger, guard, dest = row
    thing = Thing(source, guard, {slot: error})
    machine = lifecycle()
    with pytest.raises(type(error)) as raised:
        drive(machine, thing, trigger)
    assert raised.value is error
    assert (thing.state, thing.slots) == (source, called(row)[: called(row).index(slot) + 1])
    thing.raises.clear()
    drive(machine, thing, trigger)
    assert thing.state == dest


@slots(Slot.ANNOUNCE, Slot.RELEASE)
@every_error
def test_exception_after_the_move_leaves_the_destination(row: Moved, slot: Slot, error: BaseException) -> None:
    """It comes out as it was raised, but the state has moved and is recorded: this is why these slots must not raise."""
    source, trigger, guard, dest = row
    thing = Thing(source, guard, {slot: error})
    with pytest.raises(type(error)) as raised:
        drive(lifecycle(), thing, trigger)
    assert raised.value is error
    assert (thing.state, thing.slots) == (dest, called(row)[: called(row).index(slot) + 1])


@every_error
def test_exception_in_a_guard_leaves_the_source_state(error: BaseException) -> None:
    """A guard runs before any slot, so nothing has happened when it raises."""

    def asks(_: Thing) -> bool:
        raise error

    thing = Thing(State.UPLOADING)
    with pytest.raises(type(error)) as raised:
        _guarded(asks).fire(thing, Trigger.UPLOAD)
    assert raised.value is error
    assert (thing.state, thing.calls) == (State.UPLOADING, [])


@pytest.mark.parametrize("truthy", [1, "yes", [0]])
def test_guard_may_answer_anything_that_is_true(truthy: object) -> None:
    """The library compares with ``== True``, which a merely true value fails; the lifecycle asks for its truth."""
    thing = Thing(State.UPLOADING)
    _guarded(lambda _: truthy).fire(thing, Trigger.UPLOAD)  # type: ignore[arg-type,return-value]
    assert thing.state == State.SUCCEEDED


def test_guards_are_asked_before_the_work() -> None:
    """The end is chosen by what was recorded before the upload, not by anything the upload changes."""
    thing = Thing(State.UPLOADING, Guard.RAN_OUT_OF_TIME)
    seen: list[list[Slot]] = []
    machine = _guarded(lambda subject: bool(seen.append(subject.slots)))
    with pytest.raises(NotAllowed):
        machine.fire(thing, Trigger.UPLOAD)
    assert seen == [[]] * len(Guard)


def test_missing_guard_shows_when_the_machine_is_made() -> None:
    """A row without its binding must not wait for a task to find out."""
    with pytest.raises(KeyError, match="exited_cleanly"):
        Lifecycle(Bindings({}, {}, lambda *_: None, lambda *_: None, lambda _: None))


def test_missing_work_shows_when_the_machine_is_made() -> None:
    """As for a state that was added without its step."""
    guards = dict.fromkeys(Guard, lambda _: True)
    with pytest.raises(KeyError, match=r"Trigger\."):
        Lifecycle(Bindings({}, guards, lambda *_: None, lambda *_: None, lambda _: None))


def _guarded(asks) -> Lifecycle[Thing, None]:  # noqa: ANN001
    """A machine with ``asks`` for every guard."""
    return Lifecycle(
        Bindings(
            work={trigger: lambda thing: thing.called(Slot.WORK) for trigger in Trigger},
            guards=dict.fromkeys(Guard, asks),
            record=lambda thing, step, _: thing.called(Slot.RECORD, step),
            announce=lambda thing, step: thing.called(Slot.ANNOUNCE, step),
            release=lambda thing: thing.called(Slot.RELEASE),
        )
    )
