"""Reads the engine's description of a container."""

from contextlib import closing
from datetime import datetime
from itertools import takewhile

from orchestrator.adapters.docker.client import DockerClient, Reading
from orchestrator.adapters.docker.events import END, events
from orchestrator.outcome.signal_names import signal_name
from orchestrator.ports import ContainerState, Counters, EngineEvents, Phase

_PATIENCE = 1.0


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


def noted(client: DockerClient, container: str, now: datetime) -> EngineEvents:
    """What happened to an exited container, from the engine's memory of events, which come in order, its end last.

    The engine is left waiting for its end a moment past ``now``, which is the engine's time: it may have forgotten it.
    """
    filters = {"container": [container], "event": ["kill", "oom", END]}
    with closing(events(client.stream, client.timeout, filters, now.timestamp() + _PATIENCE)) as told:
        before_end = [*takewhile(lambda event: event["Action"] != END, told)]
    sent = [event["Actor"]["Attributes"].get("signal", "") for event in before_end if event["Action"] == "kill"]
    return EngineEvents([_name(number) for number in sent], any(event["Action"] == "oom" for event in before_end))


def _name(told: str) -> str:
    """An engine tells of a signal by its number; what is none stays as it is."""
    return (told.isdecimal() and signal_name(int(told))) or told


def instant(text: str) -> datetime | None:
    """A time of the engine, cut to microseconds; None for the zero time, which stands for never."""
    return None if text.startswith("0001-") else datetime.fromisoformat(text)


_LEAVING = frozenset({"removing", "dead"})
"""Such a container does not run and never will; a forced removal says so before it kills."""
_PHASES = {
    "created": Phase.CREATED,
    "running": Phase.RUNNING,
    "paused": Phase.RUNNING,
    "restarting": Phase.RUNNING,
    "exited": Phase.EXITED,
}
