"""Where the boxes, lines and labels of a state diagram go. Pure geometry in pixels; it draws nothing.

Vertical lines keep to the gaps between columns, each on a track of its own, and horizontal ones to empty rows or to the margins
above and below. Labels stand where their line arrives, past all the tracks. So nothing overlaps, whatever the table.
"""

from collections.abc import Sequence
from functools import cached_property
from itertools import chain

from attrs import frozen

from statemachine.diagrams.nets import Net, Way
from statemachine.diagrams.plan import Plan, Track, arrange, departure
from statemachine.states import State
from statemachine.table import Row, Trigger

Point = tuple[float, float]
CHAR = 7.3
"""Width of a character of a label."""
_NAME_CHAR, _BOX_HEIGHT, _ROW_GAP = 8.2, 46, 40
_PORT, _EXIT, _TRACK, _STUB, _ARROW, _MARGIN = 40, 7, 12, 16, 16, 24


@frozen
class Box:
    """A state: its upper left corner and its size."""

    state: State
    x: float
    y: float
    width: float
    height: float

    @property
    def middle(self) -> float:
        """Half way down."""
        return self.y + self.height / 2


@frozen
class Line:
    """One row of the table, from its source to the arrow head at its destination."""

    trigger: Trigger
    source: State
    dest: State
    points: tuple[Point, ...]


@frozen
class Label:
    """Words on a line. ``x`` is their right end, or their left one where they ``follow`` a branch; ``y`` is the base line."""

    net: Net
    text: str
    x: float
    y: float
    follow: bool = False


@frozen
class Picture:
    """All of it. ``start`` is the dot from which an arrow leads to the initial state."""

    width: float
    height: float
    boxes: tuple[Box, ...]
    lines: tuple[Line, ...]
    labels: tuple[Label, ...]
    start: tuple[Point, Point]


def lay_out(table: Sequence[Row], initial: State) -> Picture:
    """The picture of a table."""
    return _Frame(arrange(table, initial)).picture()


@frozen
class _Frame:
    plan: Plan

    def picture(self) -> Picture:
        plan, dot = self.plan, self.port(self.plan.initial, None)
        branches = [(net, source) for net in plan.nets for source in net.sources]
        labels = chain(chain.from_iterable(map(self._arrival, plan.nets)), (self._branch(*branch) for branch in branches))
        return Picture(
            width=self.gaps[-1] + max(_MARGIN, _STUB + _TRACK * len(plan.tracks[-1])),
            height=self.floor + _TRACK * len(plan.beside(Way.UNDER)) + _MARGIN,
            boxes=tuple(self.boxes.values()),
            lines=tuple(Line(net.trigger, source, net.dest, self.way(net, source)) for net, source in branches),
            labels=tuple(label for label in labels if label),
            start=((dot[0] - _ARROW - _STUB, dot[1]), dot),
        )

    @cached_property
    def width(self) -> float:
        """Of every box."""
        return max(map(len, self.plan.cells)) * _NAME_CHAR + 2 * _STUB

    def _height(self, state: State) -> float:
        plan = self.plan
        return max(_BOX_HEIGHT, _PORT * len(plan.arrivals[state]), 2 * _EXIT * (len(plan.departures[state]) + 1))

    @cached_property
    def gaps(self) -> list[float]:
        """Where each gap begins, after the last column too."""
        begins = [float(_MARGIN)]
        for column, tracks in enumerate(self.plan.tracks[:-1]):
            words = [word for net in self.plan.nets if self.plan.cells[net.dest].column == column for word in net.label]
            start = _STUB + _ARROW if column == self.plan.cells[self.plan.initial].column else 0
            room = max([start, *(CHAR * len(word) + _STUB for word in words)]) + _ARROW
            begins.append(begins[-1] + _STUB * bool(column) + _TRACK * len(tracks) + room + self.width)
        return begins

    @cached_property
    def rows(self) -> list[tuple[float, float]]:
        """Top and height of each row."""
        found, top = [], _MARGIN + _TRACK * float(len(self.plan.beside(Way.OVER)))
        for row in range(max(cell.row for cell in self.plan.cells.values()) + 1):
            height = max(self._height(state) for state, cell in self.plan.cells.items() if cell.row == row)
            found.append((top, height))
            top += height + _ROW_GAP
        return found

    @cached_property
    def boxes(self) -> dict[State, Box]:
        """The states, each in the middle of its row."""
        boxes = {}
        for state, cell in self.plan.cells.items():
            (top, row_height), height = self.rows[cell.row], self._height(state)
            x, y = self.gaps[cell.column + 1] - self.width, top + (row_height - height) / 2
            boxes[state] = Box(state, x, y, self.width, height)
        return boxes

    @cached_property
    def floor(self) -> float:
        """Below all boxes."""
        return max(box.y + box.height for box in self.boxes.values()) + _TRACK

    def port(self, state: State, net: Net | None) -> Point:
        """Where a net arrives."""
        box, arrivals = self.boxes[state], self.plan.arrivals[state]
        return box.x, box.middle + (arrivals.index(net) - (len(arrivals) - 1) / 2) * _PORT

    def way(self, net: Net, source: State) -> tuple[Point, ...]:
        """The corners of one branch."""
        end = self.port(net.dest, net)
        if net.way == Way.LANE:
            drop = self._drop(net, source)
            return drop, (drop[0], end[1]), end
        begin, out = self._exit(net, source), self._x(self.plan.cells[source].column + 1, departure(net, source))
        if net.way == Way.STEP:
            return (begin, end) if begin[1] == end[1] else (begin, (out, begin[1]), (out, end[1]), end)
        along, into = self._along(net), self._x(self.plan.cells[net.dest].column, net)
        return begin, (out, begin[1]), (out, along), (into, along), (into, end[1]), end

    def _x(self, gap: int, track: Track) -> float:
        return self.gaps[gap] + _STUB + _TRACK * self.plan.tracks[gap].index(track)

    def _along(self, net: Net) -> float:
        index = self.plan.beside(net.way).index(net)
        return self.floor + _TRACK * (index + 1) if net.way == Way.UNDER else _MARGIN + _TRACK * index

    def _exit(self, net: Net, source: State) -> Point:
        """Level with a destination in the same row, so that the line is straight; else where nothing can be level with it."""
        box, index = self.boxes[source], self.plan.departures[source].index(departure(net, source))
        level = self.plan.level_with(net, source)
        y = self.port(level.dest, level)[1] if level else box.y
        if not box.y < y < box.y + box.height:
            y = box.middle + _EXIT * (index // 2 + 1) * (-1) ** index
        return box.x + box.width, y

    def _drop(self, net: Net, source: State) -> Point:
        box, drops = self.boxes[source], self.plan.drops(source)
        x = box.x + box.width * (drops.index(net) + 1) / (len(drops) + 1)
        return x, box.y + box.height * self._down(net, source)

    def _down(self, net: Net, source: State) -> bool:
        return self.plan.cells[net.dest].row > self.plan.cells[source].row

    def _arrival(self, net: Net) -> list[Label]:
        """The trigger above the line, the guard below."""
        x, y = self.port(net.dest, net)
        return [Label(net, word, x - _ARROW, y + dy) for word, dy in zip(net.label, (-6, 15), strict=False)]

    def _branch(self, net: Net, source: State) -> Label | None:
        """The trigger again where a branch begins, when it is far from where it ends and there is room."""
        if net.way != Way.LANE or CHAR * len(net.trigger) > self.width / (len(self.plan.drops(source)) + 1) - _EXIT:
            return None
        x, y = self._drop(net, source)
        return Label(net, net.trigger, x + _EXIT, y + (18 if self._down(net, source) else -10), follow=True)
