"""One lifecycle serves all subjects and threads, and keeps nothing about any of them."""

import gc
import logging
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice

import pytest
from attrs import define

from statemachine import INITIAL, Bindings, Guard, Lifecycle, State, Trigger, next_trigger

SUBJECTS = 10_000
ENDS = {
    Guard.EXITED_CLEANLY: State.SUCCEEDED,
    Guard.RAN_OUT_OF_TIME: State.TIMED_OUT,
    Guard.WENT_WRONG: State.FAILED,
}


@define(eq=False)
class Small:
    """A slotted subject with an outcome."""

    holds: Guard = Guard.EXITED_CLEANLY
    state: State = INITIAL


@define
class Equal:
    """A subject that equals every other one in the same state."""

    holds: Guard = Guard.EXITED_CLEANLY
    state: State = INITIAL


Work = Callable[[Small], None]


def machine(work: Work = lambda _: None) -> Lifecycle[Small, None]:
    """A lifecycle with ``work`` for every trigger and slots that do nothing."""
    return Lifecycle(
        Bindings(
            work=dict.fromkeys(Trigger, work),
            guards={guard: lambda subject, guard=guard: subject.holds == guard for guard in Guard},
            record=lambda *_: None,
            announce=lambda *_: None,
            release=lambda _: None,
        )
    )


def test_ten_thousand_subjects_in_many_threads_leave_nothing_behind() -> None:
    """Each ends where its own outcome says, and is freed as soon as its owner lets go of it, without the collector."""
    shared = machine()

    def live(holds: Guard) -> tuple[State, "weakref.ref[Small]"]:
        subject = Small(holds)
        while trigger := next_trigger(subject.state):
            shared.fire(subject, trigger)
        return subject.state, weakref.ref(subject)

    gc.disable()
    try:
        with ThreadPoolExecutor(8) as pool:
            ended = [*pool.map(live, islice(cycle(ENDS), SUBJECTS))]
        assert [ref for _, ref in ended if ref()] == []
    finally:
        gc.enable()
    assert [state for state, _ in ended] == [*islice(cycle(ENDS.values()), SUBJECTS)]


def test_subject_whose_work_raised_is_let_go_of() -> None:
    """The library ties an exception to its own frame, so here the collector has to help; after it nothing stays."""

    def breaks(_: Small) -> None:
        raise RuntimeError

    shared, refs = machine(breaks), []
    for _ in range(100):
        subject = Small()
        refs.append(weakref.ref(subject))
        try:
            shared.fire(subject, Trigger.START)
        except RuntimeError:
            shared.fail(subject, None)
    del subject
    gc.collect()
    assert [ref for ref in refs if ref()] == []


def test_equal_subjects_are_told_apart() -> None:
    """A machine that registers its models takes equal ones for one; this one registers none."""
    shared = machine()
    first, second = Equal(), Equal()
    shared.fire(first, Trigger.START)
    assert (first.state, second.state) == (State.RUNNING, State.QUEUED)


def test_work_may_drive_another_subject() -> None:
    """Triggers nest: the work of one subject may move another one through the same machine."""
    inner, outer = Small(), Small()

    def drives(subject: Small) -> None:
        if subject is outer:
            shared.fire(inner, Trigger.START)

    shared = machine(drives)
    shared.fire(outer, Trigger.START)
    assert (outer.state, inner.state) == (State.RUNNING, State.RUNNING)


def test_lifecycle_gives_its_subject_no_attribute() -> None:
    """Anything with a state will do, and it stays as it was made."""
    subject, before = Equal(), set(dir(Equal()))
    machine().fire(subject, Trigger.START)
    assert set(dir(subject)) == before


def test_library_is_quiet(caplog: pytest.LogCaptureFixture) -> None:
    """At INFO it would write a line for each callback of each task."""
    caplog.set_level(logging.DEBUG, "transitions")
    machine().fire(Small(), Trigger.START)
    assert caplog.records == []


def test_nothing_leads_past_the_table() -> None:
    """The library would add a trigger to every state that asks no guard and runs no slot."""
    assert {*machine()._machine.events} == {*Trigger}
