"""The state diagram for mermaid, which GitHub draws."""

from collections.abc import Sequence

from statemachine.states import State
from statemachine.table import Row


def state_diagram(table: Sequence[Row], initial: State) -> str:
    """One arrow for each row, labelled with its trigger and, in brackets, its guard."""
    lines = [f"    {row.source} --> {row.dest}: {row.trigger}{f' [{row.guard}]' if row.guard else ''}" for row in table]
    sources = {row.source for row in table}
    ends = [f"    {state} --> [*]" for state in dict.fromkeys(row.dest for row in table) if state not in sources]
    return "\n".join(["stateDiagram-v2", "    direction LR", f"    [*] --> {initial}", *lines, *ends, ""])
