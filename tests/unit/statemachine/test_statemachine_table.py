"""The table is the one agreed on, and the machine does what it says for every state, trigger and outcome."""

from collections.abc import Iterator
from itertools import product

import pytest
from attrs import evolve

from statemachine import INITIAL, TABLE, TERMINAL, Guard, NotAllowed, Row, State, Trigger, next_trigger, rows_from
from tests.support.subjects import Thing, drive, lifecycle
from tests.support.table import EXPECTED, OUTCOMES, PAIRS, expected, observed, written


def test_states_and_triggers_are_the_agreed_ones() -> None:
    """The values are stored and published, so they may not change by accident."""
    assert [*State] == ["queued", "running", "collecting", "uploading", "succeeded", "failed", "timed_out"]
    assert [*Trigger] == ["start", "wait", "collect", "upload", "retry", "fail"]


def test_table_is_the_agreed_one() -> None:
    """The data that runs equals the copy written out by hand."""
    assert written() == EXPECTED
    assert len(TABLE) == sum(map(len, EXPECTED.values()))


@pytest.mark.parametrize(("state", "trigger"), PAIRS)
@pytest.mark.parametrize("holds", OUTCOMES)
def test_every_pair_leads_where_the_table_says(state: State, trigger: Trigger, holds: Guard | None) -> None:
    """All pairs, under each outcome and under none."""
    assert observed(lifecycle(), state, trigger, holds) == expected(state, trigger, holds)


@pytest.mark.parametrize(("state", "trigger"), [pair for pair in PAIRS if pair not in EXPECTED])
def test_pair_without_a_row_is_refused_and_does_nothing(state: State, trigger: Trigger) -> None:
    """The error names trigger and state; no slot runs and the state stays."""
    thing = Thing(state)
    with pytest.raises(NotAllowed, match=f"{trigger} is not allowed in state {state}") as refused:
        drive(lifecycle(), thing, trigger)
    assert (refused.value.trigger, refused.value.state) == (trigger, state)
    assert (thing.state, thing.calls) == (state, [])


def test_upload_without_an_outcome_is_refused_and_does_nothing() -> None:
    """When no guard holds there is nowhere to go."""
    thing = Thing(State.UPLOADING, holds=None)
    with pytest.raises(NotAllowed):
        drive(lifecycle(), thing, Trigger.UPLOAD)
    assert (thing.state, thing.calls) == (State.UPLOADING, [])


def test_terminal_states_are_those_without_a_way_out() -> None:
    """A terminal status never changes afterwards, because the table has no row for it."""
    assert {state for state in State if not any(row.source == state for row in TABLE)} == TERMINAL


def test_every_state_is_reached_and_every_task_can_end() -> None:
    """Nothing is unreachable from queued, and from everywhere some terminal state is."""
    assert _reached(INITIAL) == set(State)
    assert all(_reached(state) & TERMINAL for state in State)


@pytest.mark.parametrize(("state", "trigger"), [*EXPECTED])
def test_guards_of_a_pair_are_exclusive_and_complete(state: State, trigger: Trigger) -> None:
    """A pair has one row without a guard, or one row for each guard: never a choice left to the order of rows."""
    guards = [row.guard for row in rows_from(state, trigger)]
    assert guards == [None] or sorted(guards) == sorted(Guard)


@pytest.mark.parametrize("state", [state for state in State if state not in TERMINAL])
def test_fail_leads_from_every_open_state_to_failed(state: State) -> None:
    """Whatever goes wrong, wherever, the task can be ended."""
    assert expected(state, Trigger.FAIL, None) == State.FAILED


@pytest.mark.parametrize(("holds", "end"), [*EXPECTED[State.UPLOADING, Trigger.UPLOAD].items()])
def test_following_next_trigger_ends_the_attempt_where_the_outcome_says(holds: Guard, end: State) -> None:
    """The four forward triggers carry any task from queued to the end of its attempt; only a terminal state has no next one."""
    machine, thing, pulled = lifecycle(), Thing(holds=holds), []
    for _ in range(4):
        pulled.append(next_trigger(thing.state))
        drive(machine, thing, pulled[-1])
    assert (thing.state, pulled) == (end, [Trigger.START, Trigger.WAIT, Trigger.COLLECT, Trigger.UPLOAD])
    assert next_trigger(end) == (None if end in TERMINAL else Trigger.START)


def _mutants() -> Iterator[tuple[Row, ...]]:
    """The table with one row left out, and with one row leading elsewhere or asking for another guard."""
    for index, row in enumerate(TABLE):
        rest = TABLE[:index], TABLE[index + 1 :]
        yield (*rest[0], *rest[1])
        yield from ((*rest[0], evolve(row, dest=dest), *rest[1]) for dest in State if dest != row.dest)
        yield from ((*rest[0], evolve(row, guard=guard), *rest[1]) for guard in OUTCOMES if guard != row.guard)


@pytest.mark.parametrize("mutant", [*_mutants()])
def test_a_change_of_one_row_is_noticed(mutant: tuple[Row, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each change shows both in what the table says and in what a machine made from it does."""
    monkeypatch.setattr("statemachine.machine.TABLE", mutant)
    machine = lifecycle()
    assert written(mutant) != EXPECTED
    assert any(observed(machine, *pair, holds) != expected(*pair, holds) for pair, holds in product(PAIRS, OUTCOMES))


@pytest.mark.parametrize(("state", "trigger"), [pair for pair in PAIRS if pair not in EXPECTED])
def test_a_row_too_many_is_noticed(state: State, trigger: Trigger, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row for a pair that should have none shows in what the machine does."""
    mutant = (*TABLE, Row(trigger, state, State.RUNNING, "nothing"))
    monkeypatch.setattr("statemachine.machine.TABLE", mutant)
    assert written(mutant) != EXPECTED
    assert observed(lifecycle(), state, trigger, None) != expected(state, trigger, None)


def _reached(start: State) -> set[State]:
    seen, todo = set(), [start]
    while todo:
        seen.add(state := todo.pop())
        todo += [row.dest for row in TABLE if row.source == state and row.dest not in seen]
    return seen
