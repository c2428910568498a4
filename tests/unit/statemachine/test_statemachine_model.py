"""Random triggers with random failures, against a model of the table that shares nothing with the implementation."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from statemachine import Guard, NotAllowed, State, Trigger
from tests.support.subjects import Slot, Thing, drive, lifecycle

FORWARD = {"queued": ("start", "running"), "running": ("wait", "collecting"), "collecting": ("collect", "uploading")}
ENDS = {"exited_cleanly": "succeeded", "tries_again": "queued", "ran_out_of_time": "timed_out", "went_wrong": "failed"}


def model(state: str, trigger: str, holds: str | None) -> str | None:
    """Where a trigger leads, from the description of the machine in words; None where it leads nowhere."""
    if state in {"succeeded", "failed", "timed_out"}:
        return None
    if trigger == "fail":
        return "failed"
    if trigger == "retry":
        return "queued" if state in {"queued", "running"} else None
    if state == "uploading":
        return ENDS.get(holds or "") if trigger == "upload" else None
    only, dest = FORWARD[state]
    return dest if trigger == only else None


class Broken(Exception):
    """What a scripted slot raises."""


class AgainstModel(RuleBasedStateMachine):
    """One machine, several subjects, any trigger at any time, and at most one slot that raises."""

    def __init__(self) -> None:
        super().__init__()
        self.machine = lifecycle()
        self.things = [Thing(holds=guard) for guard in (*Guard, None)]
        self.states = ["queued"] * len(self.things)

    @rule(
        which=st.integers(0, len(Guard)),
        trigger=st.sampled_from(Trigger),
        broken=st.none() | st.sampled_from(Slot),
    )
    def pull(self, which: int, trigger: Trigger, broken: Slot | None) -> None:
        """Pull a trigger; the model says whether it moves, and the broken slot whether that is heard of."""
        thing, source = self.things[which], self.states[which]
        thing.calls.clear()
        thing.raises = {broken: Broken()} if broken else {}
        dest = model(source, trigger, thing.holds)
        heard: type[Exception] | None = None
        try:
            drive(self.machine, thing, trigger)
        except (Broken, NotAllowed) as error:
            heard = type(error)
        reached = broken in thing.slots
        assert heard == (NotAllowed if dest is None else Broken if reached else None)
        if dest and not (reached and broken in {Slot.WORK, Slot.RECORD}):
            self.states[which] = dest

    @rule(which=st.integers(0, len(Guard)))
    def enqueue_another(self, which: int) -> None:
        """A fresh subject takes the place of one that may be at its end."""
        self.things[which] = Thing(holds=self.things[which].holds)
        self.states[which] = "queued"

    @invariant()
    def states_agree(self) -> None:
        """Every subject is where the model has it, as a State."""
        assert [thing.state for thing in self.things] == self.states
        assert all(isinstance(thing.state, State) for thing in self.things)


TestAgainstModel = AgainstModel.TestCase
TestAgainstModel.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
