"""The table as pictures: pure functions from rows to text. They know no file and no clock."""

from statemachine.diagrams.matrix import transition_table
from statemachine.diagrams.mermaid import state_diagram
from statemachine.diagrams.svg import state_picture

__all__ = ["state_diagram", "state_picture", "transition_table"]
