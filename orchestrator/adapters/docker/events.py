"""The engine's events of a container. The engine remembers a few hundred events of all containers."""

import json
from collections.abc import Generator, Mapping
from contextlib import closing
from datetime import datetime
from itertools import takewhile

from orchestrator.adapters.docker.client import DockerClient, Reading
from orchestrator.outcome.signal_names import signal_name
from orchestrator.ports import EngineEvents

_END = "die"
"""The last event of a program."""
_PATIENCE = 1.0


def noted(client: DockerClient, container: str, now: datetime) -> EngineEvents:
    """The events of an exited container before its end. Raises InfrastructureError.

    The request ends shortly after ``now``, the engine's time, because the engine may have forgotten the event of the end.
    """
    filters = {"container": [container], "event": ["kill", "oom", _END]}
    with closing(_events(client, filters, now.timestamp() + _PATIENCE)) as told:
        before_end = [*takewhile(lambda event: event["Action"] != _END, told)]
    sent = [event["Actor"]["Attributes"].get("signal", "") for event in before_end if event["Action"] == "kill"]
    return EngineEvents([_name(number) for number in sent], any(event["Action"] == "oom" for event in before_end))


def _events(client: DockerClient, filters: Mapping[str, object], until: float) -> Generator[Reading]:
    """The events that pass the filters, oldest first, up to a time of the engine, in seconds.

    The engine waits for that time.
    """
    wanted = {"filters": json.dumps(filters), "since": "0", "until": f"{until:.6f}"}
    with client.stream("GET", "/events", silence=client.timeout, params=wanted) as response:
        yield from (json.loads(line) for line in response.iter_lines() if line)


def _name(told: str) -> str:
    """An engine names a signal by its number; other values stay unchanged."""
    if not told.isdecimal():
        return told
    return signal_name(int(told)) or told
