"""Who may run at once, without a clock; and that threads really wait."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from orchestrator.errors import InvalidTask
from orchestrator.execution.admission import OVERTAKEN, Admission, Capacity, Line, Share
from tests.support import pace

HOST = Share(2.0, 1000)
BUDGET = Share(8.0, 1000)
SLOTS = 3
shares = st.builds(Share, st.sampled_from([0.1, 0.3, 1.0, 2.0, 8.0]), st.integers(1, 1000))


class Waiting(RuleBasedStateMachine):
    """Tasks come, end and give up in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.line = Line(BUDGET, SLOTS)
        self.asked: dict[str, Share] = {}
        self.begun: set[str] = set()
        self.overtaken: dict[str, int] = {}
        self.forced: set[str] = set()
        self.made = 0

    def _look(self) -> None:
        """Note who began, and before whom."""
        new = [key for key in self.asked if key in self.line.running and key not in self.begun]
        order = list(self.asked)
        for key in new:
            for other in order[: order.index(key)]:
                if other not in self.line.running:
                    self.overtaken[other] = self.overtaken.get(other, 0) + 1
        self.begun.update(new)

    @rule(share=shares)
    def ask(self, share: Share) -> None:
        """A task comes."""
        self.made += 1
        self.asked[f"t{self.made}"] = share
        self.line.ask(f"t{self.made}", share)
        self._look()

    @rule(share=shares)
    def take(self, share: Share) -> None:
        """A task is found running."""
        self.made += 1
        self.forced.add(f"f{self.made}")
        self.line.take(f"f{self.made}", share)
        self._look()

    @precondition(lambda self: self.begun & self.asked.keys())
    @rule(data=st.data())
    def keep(self, data: st.DataObject) -> None:
        """One ends, and part of its memory stays taken."""
        key = data.draw(st.sampled_from(sorted(self.begun & self.asked.keys())))
        self.line.take(key, Share(0, data.draw(st.integers(0, self.asked.pop(key).memory))))
        self.forced.add(key)
        self._look()

    @precondition(lambda self: self.asked or self.forced)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        """One ends, or gives up waiting."""
        key = data.draw(st.sampled_from(sorted([*self.asked, *self.forced])))
        self.asked.pop(key, None)
        self.forced.discard(key)
        self.line.leave(key)
        self._look()

    @invariant()
    def what_runs_fits(self) -> None:
        """All that were admitted fit the budget, but for those that ran already."""
        admitted = [share for key, share in self.line.running.items() if key not in self.forced]
        assert sum(share.memory for share in admitted) <= BUDGET.memory
        assert sum(share.cpus for share in admitted) <= BUDGET.cpus + 1e-6
        assert len(admitted) <= SLOTS
        assert self.line.has_slot == (len(admitted) < SLOTS)
        assert self.line.waiting + len(admitted) == len(self.asked)

    @invariant()
    def nobody_is_overtaken_for_ever(self) -> None:
        """However many small ones come."""
        assert max(self.overtaken.values(), default=0) <= OVERTAKEN

    @invariant()
    def nothing_is_idle_for_nothing(self) -> None:
        """The first in line waits only if it does not fit, or all slots are taken."""
        waiting = [key for key in self.asked if key not in self.line.running]
        if waiting and self.line.has_slot:
            running, first = self.line.running.values(), self.asked[waiting[0]]
            memory = sum(share.memory for share in running) + first.memory
            assert memory > BUDGET.memory or sum(share.cpus for share in running) + first.cpus > BUDGET.cpus - 1e-6

    def teardown(self) -> None:
        """When all that runs ends, again and again, everybody gets a turn."""
        for key in list(self.forced):
            self.line.leave(key)
        while running := list(self.line.running):
            for key in running:
                self.asked.pop(key, None)
                self.line.leave(key)
        assert not self.asked


TestWaiting = Waiting.TestCase


@given(st.lists(st.just(Share(1.0, 100)), min_size=1, max_size=40))
def test_equals_begin_in_the_order_of_asking(given_: list[Share]) -> None:
    """First come, first served."""
    line, order = Line(BUDGET), []
    for number, share in enumerate(given_):
        line.ask(str(number), share)
    while line.running:
        first = next(iter(line.running))
        order.append(first)
        line.leave(first)
    assert order == [str(number) for number in range(len(given_))]


def test_a_large_one_waits_for_so_many_small_ones_and_no_more() -> None:
    """Small ones that keep coming pass it until their number is full; then they wait behind it."""
    line = Line(BUDGET)
    line.ask("first", Share(1, 600))
    line.ask("large", Share(1, 1000))
    for number in range(OVERTAKEN + 5):
        line.ask(f"small{number}", Share(0.1, 10))
    assert sum(key.startswith("small") for key in line.running) == OVERTAKEN
    for key in list(line.running):
        line.leave(key)
    assert set(line.running) == {"large"}


@pytest.mark.parametrize(
    ("share", "message"),
    [
        (Share(3.0, 1), "limits.cpus: 3 is more than the 2 that the engine's host has"),
        (Share(1.0, 1001), "limits.memory: 1001 B is more than the 1000 B that the engine's host has"),
        (Share(9.0, 9999), "limits.cpus.*; limits.memory"),
    ],
)
def test_what_can_never_begin_is_refused(share: Share, message: str) -> None:
    """With a sentence for each limit."""
    capacity = Capacity.of(HOST, 4.0, 0)
    capacity.check(HOST)
    with pytest.raises(InvalidTask, match=message):
        capacity.check(share)


def test_a_smaller_budget_bounds_each_task_too() -> None:
    """What does not fit alone fits never."""
    capacity = Capacity.of(HOST, 0.5, 300)
    capacity.check(Share(1.0, 300))
    with pytest.raises(InvalidTask, match="300 B"):
        capacity.check(Share(1.5, 301))


def test_a_thread_waits_until_there_is_room() -> None:
    """It is woken by the task that leaves."""
    admission = Admission(lambda: Capacity.of(HOST, 4.0, 0))
    assert admission.ask("one", Share(1, 1000))
    assert not admission.ask("two", Share(1, 1000))
    began = threading.Event()
    waiting = threading.Thread(target=lambda: (admission.wait("two", lambda: False), began.set()))
    waiting.start()
    assert not began.wait(0.05)
    admission.leave("one")
    waiting.join(pace.seconds(5))
    assert began.is_set()
    admission.leave("two")
    assert admission.ask("three", Share(1, 1000))


def test_those_that_wait_take_no_place_from_those_that_fit() -> None:
    """But no more of them wait here than there are slots, and while all slots run nothing more is taken."""
    admission = Admission(lambda: Capacity.of(HOST, 4.0, 0), 2)
    assert admission.places == 2
    admission.ask("large", Share(1, 900))
    assert admission.places == 2
    admission.ask("waits", Share(1, 900))
    assert admission.places == 3
    admission.ask("waits, too", Share(1, 900))
    assert admission.places == 0
    admission.leave("waits, too")
    admission.ask("small", Share(1, 100))
    assert admission.places == 0
    admission.leave("small")
    assert admission.places == 3
    admission.take("found running", Share(1, 100))
    assert admission.places == 3


def test_giving_up_leaves_the_line() -> None:
    """Those behind do not wait for it."""
    admission = Admission(lambda: Capacity.of(HOST, 4.0, 0))
    admission.ask("one", Share(1, 900))
    assert not admission.ask("two", Share(1, 1000))
    admission.wait("two", lambda: True)
    admission.leave("one")
    assert admission.ask("three", Share(1, 1000))
