"""Which rows share a line, and which kind of way that line takes through the grid. It knows no coordinates."""

from collections.abc import Mapping, Sequence
from enum import IntEnum

from attrs import frozen

from statemachine.diagrams.grid import Cell
from statemachine.states import State
from statemachine.table import Guard, Row, Trigger


class Way(IntEnum):
    """How a line gets to its state. Lines arrive from top to bottom in this order."""

    OVER = 1
    """Back to an earlier column, above everything."""
    STEP = 2
    """To the next column."""
    LANE = 3
    """From several states, or over several columns, along the empty row of the destination."""
    UNDER = 4
    """As LANE, but the row is not empty: below everything."""


@frozen
class Net:
    """Rows of one trigger, guard and destination: one arrow, one label, a branch for each source."""

    trigger: Trigger
    guard: Guard | None
    dest: State
    sources: tuple[State, ...]
    way: Way

    @property
    def label(self) -> tuple[str, ...]:
        """The trigger and, in brackets, the guard."""
        return (self.trigger,) if self.guard is None else (self.trigger, f"[{self.guard}]")


def nets(table: Sequence[Row], cells: Mapping[State, Cell]) -> list[Net]:
    """The nets of a table, in its order."""
    groups: dict[tuple[Trigger, Guard | None, State, bool], dict[State, None]] = {}
    for row in table:
        onward = cells[row.source].column < cells[row.dest].column
        groups.setdefault((row.trigger, row.guard, row.dest, onward), {})[row.source] = None
    return [
        Net(trigger, guard, dest, tuple(sources), _way(cells, [*sources], dest) if onward else Way.OVER)
        for (trigger, guard, dest, onward), sources in groups.items()
    ]


def _way(cells: Mapping[State, Cell], sources: Sequence[State], dest: State) -> Way:
    start, end = min(cells[source].column for source in sources), cells[dest]
    if len(sources) == 1 and start + 1 == end.column:
        return Way.STEP
    lane = {Cell(column, end.row) for column in range(start, end.column)}
    drops = {Cell(cells[source].column, row) for source in sources for row in _between(cells[source].row, end.row)}
    return Way.UNDER if (lane | drops) & set(cells.values()) else Way.LANE


def _between(first: int, second: int) -> range:
    low, high = sorted((first, second))
    return range(low + 1, high)
