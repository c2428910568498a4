"""The pictures say what the table says, and nothing in them overlaps, whatever the table."""

import re
from collections.abc import Callable, Iterator
from itertools import combinations, pairwise
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from statemachine import INITIAL, TABLE, TERMINAL, Row, State, Trigger
from statemachine.diagrams import state_diagram, state_picture, transition_table
from statemachine.diagrams.layout import CHAR, Box, Label, Picture, lay_out
from tests.support.tables import tables

SVG = "{http://www.w3.org/2000/svg}"
Rect = tuple[float, float, float, float]


def rect(box: Box) -> Rect:
    """Left, top, right, bottom."""
    return box.x, box.y, box.x + box.width, box.y + box.height


def words(label: Label) -> Rect:
    """The room that a label takes."""
    left = label.x if label.follow else label.x - CHAR * len(label.text)
    return left, label.y - 10, left + CHAR * len(label.text), label.y + 3


def segments(picture: Picture) -> Iterator[tuple[int, Rect]]:
    """The straight parts of each line as flat rectangles, with the number of the line."""
    for number, line in enumerate(picture.lines):
        for (x0, y0), (x1, y1) in pairwise(line.points):
            yield number, (min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1))


def overlap(first: Rect, second: Rect) -> bool:
    """Whether the insides meet; a line has an inside only along itself."""
    return first[0] < second[2] and second[0] < first[2] and first[1] < second[3] and second[1] < first[3]


def collinear(first: Rect, second: Rect) -> bool:
    """Whether two lines run on top of each other for a stretch."""
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    return (width > 0 and height == 0 and first[1] == first[3]) or (height > 0 and width == 0 and first[0] == first[2])


def check(table: list[Row], initial: str) -> None:
    """Everything that makes a picture readable."""
    picture = lay_out(table, initial)
    boxes = {box.state: rect(box) for box in picture.boxes}
    labels = [words(label) for label in picture.labels]
    parts = [*segments(picture)]
    assert boxes.keys() == {initial, *(state for row in table for state in (row.source, row.dest))}
    assert not [pair for pair in combinations([*boxes.values(), *labels], 2) if overlap(*pair)]
    assert not [(line, box) for _, line in parts for box in [*boxes.values(), *labels] if overlap(line, box)]
    assert not [
        (a, b) for (i, a), (j, b) in combinations(parts, 2) if i != j and collinear(a, b) and not related(picture, i, j)
    ]
    everything = [*boxes.values(), *labels, *(line for _, line in parts), (*picture.start[0], *picture.start[1])]
    assert all(0 <= x0 <= x1 <= picture.width and 0 <= y0 <= y1 <= picture.height for x0, y0, x1, y1 in everything)
    for line in picture.lines:
        assert touches(boxes[line.source], line.points[0])
        assert line.points[-1][0] == boxes[line.dest][0]
        assert boxes[line.dest][1] < line.points[-1][1] < boxes[line.dest][3]


def related(picture: Picture, first: int, second: int) -> bool:
    """Lines of one trigger share a stretch at their source or at their destination."""
    a, b = picture.lines[first], picture.lines[second]
    return a.trigger == b.trigger and (a.source == b.source or a.dest == b.dest)


def touches(box: Rect, point: tuple[float, float]) -> bool:
    """Whether a point is on the border."""
    (left, top, right, bottom), (x, y) = box, point
    return (x == right and top < y < bottom) or (y in {top, bottom} and left < x < right)


def test_nothing_in_the_picture_overlaps() -> None:
    """Of the table that runs."""
    check([*TABLE], INITIAL)


@given(tables, st.data())
def test_nothing_overlaps_whatever_the_table(table: list[Row], data: st.DataObject) -> None:
    """More states, long names, rows that lead back or nowhere: a new row needs no new drawing."""
    check(table, data.draw(st.sampled_from([row.source for row in table])))


def test_picture_is_well_formed_and_whole() -> None:
    """It shows every state and names every row, and fetches nothing."""
    text = state_picture(TABLE, INITIAL)
    picture = ET.fromstring(text)  # noqa: S314
    shown = ["".join(element.itertext()) for element in picture.iter(f"{SVG}text")]
    titles = [element.text for element in picture.iter(f"{SVG}title")]
    assert {*State} <= {*shown}
    assert {f"{row.source} → {row.dest} on {row.trigger}" for row in TABLE} <= {*titles}
    assert {f"[{row.guard}]" for row in TABLE if row.guard} <= {*shown}
    assert not re.search(r"href|url\(|@import|<script|<image", text)


def test_picture_doubles_the_border_of_terminal_states() -> None:
    """As far as the table says that nothing leads out of them."""
    boxes = ET.fromstring(state_picture(TABLE, INITIAL)).iter(f"{SVG}rect")  # noqa: S314
    doubled = {state for box in boxes for state in TERMINAL if {"inner", state} <= {*box.get("class", "").split()}}
    assert doubled == TERMINAL


@given(tables)
def test_picture_of_any_table_is_well_formed(table: list[Row]) -> None:
    """Every row is in it."""
    lines = ET.fromstring(state_picture(table, table[0].source)).iter(f"{SVG}g")  # noqa: S314
    titles = [title.text for line in lines for title in line.iter(f"{SVG}title")]
    assert {f"{row.source} → {row.dest} on {row.trigger}" for row in table} == {*titles}


def test_state_diagram_has_an_arrow_for_each_row() -> None:
    """And one from the start and one from each terminal state to the end."""
    lines = [line.strip() for line in state_diagram(TABLE, INITIAL).splitlines()]
    assert lines[:3] == ["stateDiagram-v2", "direction LR", "[*] --> queued"]
    assert "running --> collecting: wait" in lines
    assert "uploading --> timed_out: upload [ran_out_of_time]" in lines
    assert [line for line in lines if line.endswith("--> [*]")] == ["succeeded --> [*]", "timed_out --> [*]", "failed --> [*]"]
    assert len(lines) == 3 + len(TABLE) + len(TERMINAL)


def test_transition_table_has_every_pair() -> None:
    """A row for each state, a column for each trigger, and the slots of each transition."""
    pairs, slots = (part.splitlines() for part in transition_table(TABLE).split("\nA pair without a destination"))
    cells = {tuple(map(str.strip, line.strip("|").split("|"))) for line in pairs}
    assert ("`queued`", "`running`", "—", "—", "—", "`queued`", "`failed`") in cells
    assert ("`failed`", "—", "—", "—", "—", "—", "—") in cells
    assert len(pairs) == 2 + len(State)
    fail = "| `fail` | `running` | `failed` | work (nothing: the cause is handed in), record | announce, release |"
    start = "| `start` | `queued` | `running` | work (make and start the container), record | announce |"
    assert {fail, start} <= {*slots}


@pytest.mark.parametrize("draw", [state_diagram, state_picture])
def test_a_new_row_is_in_every_picture(draw: Callable[[list[Row], State], str]) -> None:
    """Nothing is drawn by hand."""
    more = [*TABLE, Row(Trigger.START, State.RUNNING, State.TIMED_OUT, "nothing")]
    assert draw(more, INITIAL) != draw([*TABLE], INITIAL)
    assert transition_table(more) != transition_table(TABLE)
