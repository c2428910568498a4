"""Reads the engine's description of a container."""

from datetime import datetime

from orchestrator.adapters.docker.client import Reading
from orchestrator.ports import ContainerState, Counters, Phase


def container_state(reading: Reading, now: datetime, counted: Counters | None = None) -> ContainerState:
    """The state in an answer to inspect; ``now`` is the engine's time."""
    state = reading["State"]
    return ContainerState(
        id=reading["Id"],
        phase=phase(reading),
        now=now,
        removing=state["Status"] in _LEAVING,
        exit_code=state["ExitCode"],
        oom_killed=state["OOMKilled"],
        error=state["Error"],
        started_at=instant(state["StartedAt"]),
        finished_at=instant(state["FinishedAt"]),
        labels=reading["Config"]["Labels"] or {},
        counted=counted,
    )


def phase(reading: Reading) -> Phase:
    """The phase in an answer to inspect."""
    return _PHASES.get(reading["State"]["Status"], Phase.EXITED)


def instant(text: str) -> datetime | None:
    """A time of the engine, cut to microseconds; None for the zero time, which means never."""
    return None if text.startswith("0001-") else datetime.fromisoformat(text)


_LEAVING = frozenset({"removing", "dead"})
"""Such a container does not run and will never run. A forced removal sets this state before it kills."""
_PHASES = {
    "created": Phase.CREATED,
    "running": Phase.RUNNING,
    "paused": Phase.RUNNING,
    "restarting": Phase.RUNNING,
    "exited": Phase.EXITED,
}
