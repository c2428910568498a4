"""Reads the engine's description of a container."""

from datetime import datetime

from orchestrator.adapters.docker_client import Reading
from orchestrator.ports import ContainerState, Phase


def container_state(reading: Reading, now: datetime) -> ContainerState:
    """The state in an answer to inspect; ``now`` is the engine's time."""
    state = reading["State"]
    return ContainerState(
        id=reading["Id"],
        phase=_PHASES.get(state["Status"], Phase.EXITED),
        now=now,
        exit_code=state["ExitCode"],
        oom_killed=state["OOMKilled"],
        error=state["Error"],
        started_at=instant(state["StartedAt"]),
        finished_at=instant(state["FinishedAt"]),
        labels=reading["Config"]["Labels"] or {},
    )


def instant(text: str) -> datetime | None:
    """A time of the engine, cut to microseconds; None for the zero time, which stands for never."""
    return None if text.startswith("0001-") else datetime.fromisoformat(text)


_PHASES = {  # the others, removing and dead, do not run and never will
    "created": Phase.CREATED,
    "running": Phase.RUNNING,
    "paused": Phase.RUNNING,
    "restarting": Phase.RUNNING,
    "exited": Phase.EXITED,
}
