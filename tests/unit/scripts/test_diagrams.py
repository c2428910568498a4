"""The pictures say what the table says."""

import re
from collections.abc import Callable
from xml.etree import ElementTree as ET

import pytest

from scripts.state_diagram import state_diagram, state_graph, state_picture
from scripts.transition_table import transition_table
from statemachine import INITIAL, TABLE, TERMINAL, Row, State, Trigger

SVG = "{http://www.w3.org/2000/svg}"


def test_the_picture_is_well_formed_and_whole() -> None:
    """It shows every state and names every guard, and fetches nothing."""
    text = state_picture(TABLE, INITIAL)
    shown = ["".join(element.itertext()) for element in ET.fromstring(text).iter(f"{SVG}text")]  # noqa: S314
    assert {*State} <= {*shown}
    assert {f"{row.trigger} [{row.guard}]" for row in TABLE if row.guard} <= {*shown}
    assert not re.search(r"url\(|@import|<script|<image", text)


def test_the_graph_has_an_arrow_for_each_pair_of_states() -> None:
    """Each names all rows that it stands for, and the graph is the same wherever it is made."""
    text = state_graph(TABLE, INITIAL)
    arrows = set(re.findall(r"^\t(\w+) -> (\w+)", text, re.MULTILINE))
    assert arrows == {(str(row.source), str(row.dest)) for row in TABLE}
    assert text.count("tooltip=") == len(arrows)
    assert state_graph(TABLE, INITIAL) == text
    assert "pos=" not in text


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


@pytest.mark.parametrize("draw", [state_diagram, state_graph, state_picture])
def test_a_new_row_is_in_every_picture(draw: Callable[[list[Row], State], str]) -> None:
    """Nothing is drawn by hand."""
    more = [*TABLE, Row(Trigger.START, State.RUNNING, State.TIMED_OUT, "nothing")]
    assert draw(more, INITIAL) != draw([*TABLE], INITIAL)
    assert transition_table(more) != transition_table(TABLE)
