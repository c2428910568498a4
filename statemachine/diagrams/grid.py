"""Which column and row each state takes: columns by the longest way from the initial state. It knows no coordinates."""

from collections.abc import Iterable, Sequence

from attrs import frozen

from statemachine.states import State
from statemachine.table import Row


@frozen(order=True)
class Cell:
    """A place in the grid; both count from 0, to the right and down."""

    column: int
    row: int


def place(table: Sequence[Row], initial: State) -> dict[State, Cell]:
    """A cell for every state. In a column, states that many others lead to come last: their lines meet below the rest."""
    states = [*dict.fromkeys([initial, *(state for row in table for state in (row.source, row.dest))])]
    columns = _columns(states, _without_cycles(table))
    sources = {state: {row.source for row in table if row.dest == state} for state in states}
    cells: dict[State, Cell] = {}
    for column in range(max(columns.values()) + 1):
        members = sorted((state for state in states if columns[state] == column), key=lambda state: len(sources[state]))
        cells |= {state: Cell(column, row) for row, state in enumerate(members)}
    return cells


def _without_cycles(table: Iterable[Row]) -> list[Row]:
    """The rows that lead on. One that closes a circle with rows above it leads back."""
    kept: list[Row] = []
    for row in table:
        if row.source not in _reached(kept, row.dest):
            kept.append(row)
    return kept


def _reached(table: Sequence[Row], start: State) -> set[State]:
    seen, todo = set(), [start]
    while todo:
        seen.add(state := todo.pop())
        todo += [row.dest for row in table if row.source == state and row.dest not in seen]
    return seen


def _columns(states: Sequence[State], table: Sequence[Row]) -> dict[State, int]:
    columns = dict.fromkeys(states, 0)
    for _ in states:
        for row in table:
            columns[row.dest] = max(columns[row.dest], columns[row.source] + 1)
    return columns
