"""The state diagram: ``transitions`` and Graphviz draw it from the table, and mermaid gets it as text."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from transitions.extensions import GraphMachine

from statemachine import Row, State, Trigger

_ORDER = [*State]
_FILLED = {State.SUCCEEDED: "#c8e6c9", State.FAILED: "#ffcdd2", State.TIMED_OUT: "#ffe0b2"}
_GRAPH = {"rankdir": "LR", "nodesep": "0.35", "ranksep": "0.9", "fontname": "Helvetica", "bgcolor": "white"}
_NODE = {"fontname": "Helvetica", "color": "gray30", "fillcolor": "white", "peripheries": "1"}
_EDGE = {"fontname": "Helvetica", "fontsize": "10", "color": "gray30"}
_FAIL = {"color": "#c62828", "style": "dashed", "constraint": "false"}


def state_graph(table: Sequence[Row], initial: State) -> str:
    """The diagram in Graphviz's language, without a layout: the same wherever it is made."""
    return str(_graph(table, initial).string())


def state_picture(table: Sequence[Row], initial: State) -> str:
    """The diagram as SVG. Widths depend on the fonts that are there."""
    drawn: bytes = _graph(table, initial).draw(format="svg", prog="dot")
    return drawn.decode()


def state_diagram(table: Sequence[Row], initial: State) -> str:
    """For mermaid, which GitHub draws: one arrow for each row, labelled with its trigger and, in brackets, its guard."""
    lines = [f"    {row.source} --> {row.dest}: {_label(row)}" for row in table]
    sources = {row.source for row in table}
    ends = [f"    {state} --> [*]" for state in dict.fromkeys(row.dest for row in table) if state not in sources]
    return "\n".join(["stateDiagram-v2", "    direction LR", f"    [*] --> {initial}", *lines, *ends, ""])


def _graph(table: Sequence[Row], initial: State) -> Any:
    """One row of states, the endings in a column with colours, and failures that happen anywhere as dashed lines."""
    states = dict.fromkeys([initial, *(state for row in table for state in (row.source, row.dest))])
    machine: Any = GraphMachine(
        SimpleNamespace(),
        [*map(str, states)],
        initial=str(initial),
        auto_transitions=False,
        title="",
        graph_engine="pygraphviz",
    )
    for row in table:
        machine.add_transition(str(row.trigger), str(row.source), str(row.dest))
    graph = machine.get_combined_graph()
    for attributes, wanted in ((graph.graph_attr, _GRAPH), (graph.node_attr, _NODE), (graph.edge_attr, _EDGE)):
        attributes.update(**wanted)
    for state in states:
        graph.get_node(str(state)).attr.update(label=str(state), **_NODE | {"fillcolor": _FILLED.get(state, "white")})
    for row in table:
        _draw(graph, [each for each in table if (each.source, each.dest) == (row.source, row.dest)])
    graph.add_subgraph([str(state) for state in states if state.policy.is_terminal], rank="same")
    return graph


def _draw(graph: Any, rows: Sequence[Row]) -> None:
    """One line for all rows from one state to another. A failure without any work needs no words: the line is dashed."""
    source, dest = rows[0].source, rows[0].dest
    labels = [_label(row) for row in rows if row.trigger is not Trigger.FAIL]
    is_failure = any(row.trigger is Trigger.FAIL for row in rows)
    style = _FAIL if is_failure else {"constraint": str(_ORDER.index(source) < _ORDER.index(dest)).lower()}
    edge = graph.get_edge(str(source), str(dest))
    edge.attr.update(label="\\n".join(labels), tooltip=f"{source} → {dest}: {', '.join(map(_label, rows))}", **style)


def _label(row: Row) -> str:
    return f"{row.trigger} [{row.guard}]" if row.guard else str(row.trigger)
