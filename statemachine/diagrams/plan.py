"""What lies beside what in a state diagram: the order of arrivals, departures and parallel lines. It knows no coordinates."""

from collections.abc import Mapping, Sequence
from functools import cached_property

from attrs import frozen

from statemachine.diagrams.grid import Cell, place
from statemachine.diagrams.nets import Net, Way, nets
from statemachine.states import State
from statemachine.table import Row, Trigger

Track = tuple[State, Trigger | Net] | Net
"""A vertical line. Steps of one trigger leave a state together; other branches leave alone, and their net arrives as one."""


@frozen
class Plan:
    """The arrangement of a table in the grid."""

    cells: Mapping[State, Cell]
    nets: Sequence[Net]
    initial: State

    @cached_property
    def arrivals(self) -> dict[State, list[Net | None]]:
        """What arrives at the left side of each state, from top to bottom; None is the start."""
        found: dict[State, list[Net | None]] = {state: [None] if state == self.initial else [] for state in self.cells}
        for net in sorted(self.nets, key=self._from_above):
            found[net.dest].append(net)
        return found

    def _from_above(self, net: Net) -> tuple[Way, int]:
        return net.way, min(self.cells[source].row for source in net.sources)

    @cached_property
    def departures(self) -> dict[State, list[Track]]:
        """What leaves by the right side of each state."""
        found: dict[State, dict[Track, None]] = {state: {} for state in self.cells}
        for net in self.nets:
            for source in net.sources if net.way != Way.LANE else ():
                found[source][departure(net, source)] = None
        return {state: [*tracks] for state, tracks in found.items()}

    @cached_property
    def tracks(self) -> list[list[Track]]:
        """The vertical lines in each gap, from left to right; gap n is the one before column n."""
        gaps: list[list[Track]] = [[] for _ in range(max(self.cells.values()).column + 2)]
        for state, tracks in self.departures.items():
            gaps[self.cells[state].column + 1] += tracks
        for net in self.beside(Way.OVER) + self.beside(Way.UNDER):
            gaps[self.cells[net.dest].column].append(net)
        return gaps

    def beside(self, way: Way) -> list[Net]:
        """The nets that take this way."""
        return [net for net in self.nets if net.way == way]

    def drops(self, source: State) -> list[Net]:
        """The nets for which this state drops a line to their lane."""
        return [net for net in self.beside(Way.LANE) if source in net.sources]

    def level_with(self, net: Net, source: State) -> Net | None:
        """The net, out of those that leave together with this one, that leads to a state in the same row."""
        together = [other for other in self.beside(net.way) if source in other.sources and other.trigger == net.trigger]
        level = (other for other in together if self.cells[other.dest].row == self.cells[source].row)
        return next(level, None) if net.way == Way.STEP else None


def departure(net: Net, source: State) -> Track:
    """The vertical line on which a branch leaves."""
    return (source, net.trigger if net.way == Way.STEP else net)


def arrange(table: Sequence[Row], initial: State) -> Plan:
    """The plan of a table."""
    cells = place(table, initial)
    return Plan(cells, nets(table, cells), initial)
