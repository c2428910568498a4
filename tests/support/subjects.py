"""A subject for the lifecycle that notes what is called on it, and raises what a test has put in a slot."""

from enum import StrEnum

from attrs import define, field

from statemachine import INITIAL, Bindings, Guard, Lifecycle, State, Step, Trigger

GIVEN = "given to fail"


class Slot(StrEnum):
    """The four slots of a row, in the order in which they run."""

    WORK = "work"
    RECORD = "record"
    ANNOUNCE = "announce"
    RELEASE = "release"


@define
class Call:
    """One call of a slot: the state that the subject showed, the step and the result it was handed."""

    slot: Slot
    state: State
    step: Step | None = None
    result: str | None = None


@define(eq=False)
class Thing:
    """Slotted and compared by identity. ``holds`` is the guard that is true of it; ``raises`` scripts its slots."""

    state: State = INITIAL
    holds: Guard | None = Guard.EXITED_CLEANLY
    raises: dict[Slot, BaseException] = field(factory=dict)
    calls: list[Call] = field(factory=list)

    def called(self, slot: Slot, step: Step | None = None, result: str | None = None) -> None:
        """Note the call, then raise what the script says."""
        self.calls.append(Call(slot, self.state, step, result))
        if slot in self.raises:
            raise self.raises[slot]

    @property
    def slots(self) -> list[Slot]:
        """The slots called so far."""
        return [call.slot for call in self.calls]


def lifecycle() -> Lifecycle[Thing, str]:
    """A lifecycle whose bindings do nothing but note themselves on the thing."""
    return Lifecycle(
        Bindings(
            work={trigger: _work(trigger) for trigger in Trigger if trigger != Trigger.FAIL},
            guards={guard: _guard(guard) for guard in Guard},
            record=lambda thing, step, result: thing.called(Slot.RECORD, step, result),
            announce=lambda thing, step: thing.called(Slot.ANNOUNCE, step),
            release=lambda thing: thing.called(Slot.RELEASE),
        )
    )


def drive(machine: Lifecycle[Thing, str], thing: Thing, trigger: Trigger) -> None:
    """Pull any trigger, the one that is handed its result included."""
    if trigger == Trigger.FAIL:
        machine.fail(thing, GIVEN)
    else:
        machine.fire(thing, trigger)


def _work(trigger: Trigger):  # noqa: ANN202
    def work(thing: Thing) -> str:
        thing.called(Slot.WORK)
        return f"result of {trigger}"

    return work


def _guard(guard: Guard):  # noqa: ANN202
    return lambda thing: thing.holds == guard
