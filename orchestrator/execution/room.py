"""What a task takes up of the engine's host, from the start of its program until all that is left of it is uploaded. Pure."""

from orchestrator.execution.admission import Share
from orchestrator.task.request import Request
from statemachine import KEEPING, State


def needed(state: State, request: Request) -> Share:
    """All that the program may use; once it has ended what it may have left in /out, which was part of its memory."""
    limits = request.limits
    if state not in KEEPING:
        return Share(limits.cpus, limits.memory)
    return Share(0, min(limits.artifacts, limits.memory) if request.artifacts else 0)
