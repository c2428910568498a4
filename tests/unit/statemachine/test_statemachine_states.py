"""What a state implies is one row of a table."""

from statemachine import INITIAL, KEEPING, TABLE, TERMINAL, UNDECIDED, State, Trigger, rows_from


def test_each_state_has_its_row() -> None:
    """And each state is of one kind."""
    assert sorted([*UNDECIDED, *KEEPING, *TERMINAL]) == sorted(State)
    assert INITIAL in UNDECIDED


def test_the_policies_are_what_the_table_allows() -> None:
    """From a terminal state nothing leads on; from a decided one no retry of a broken attempt leads back."""
    for state in State:
        assert state.policy.is_terminal == (not any(row.source == state for row in TABLE))
        assert not (state.policy.is_decided and any(rows_from(state, Trigger.RETRY)))
