"""Whether an engine went down and took a program with it, as far as what it remembers of events tells.

It has seen all that it remembers since it came up, and its last 256 events are all that it remembers.
"""

from collections.abc import Generator, Mapping
from contextlib import closing
from datetime import datetime, timedelta

from orchestrator.adapters.docker_client import DockerClient, Reading
from orchestrator.adapters.docker_errors import translated
from orchestrator.adapters.docker_events import END, REMEMBERED, events
from orchestrator.ports import ContainerState

_AHEAD = timedelta(seconds=3)
"""How far ``now`` may be behind the engine's clock."""
_UNEXPLAINED = frozenset({137, 143, 255})
"""Exit codes of a program that got KILL or TERM, and of one of which the engine does not know how it ended."""


def took_down(client: DockerClient, state: ContainerState, now: datetime) -> bool:
    """See ports.Engine. An engine that saw the end was up then; when it comes up it may end what an earlier one has left."""
    seen = _seen(client, state.id, now)
    if END in seen and ("start" in seen or "kill" not in seen):
        return False
    with translated():
        info = client.api.info()
    memory = [*_events(client, {}, datetime.fromisoformat(info["SystemTime"]))]
    whole = len(memory) < REMEMBERED
    if END in seen:
        return whole and not info["LiveRestoreEnabled"]
    if not info["LiveRestoreEnabled"] and (whole or _reaches(memory[0], state.finished_at)):
        return True
    return state.finished_at is None or state.exit_code in _UNEXPLAINED


def _seen(client: DockerClient, container: str, now: datetime) -> frozenset[str]:
    """What the engine saw of the container up to its end; one that did not see that is waited for in vain until ``now``."""
    seen: set[str] = set()
    with closing(_events(client, {"container": [container], "event": ["start", "kill", END]}, now + _AHEAD)) as told:
        while END not in seen and (event := next(told, None)):
            seen.add(event["Action"])
    return frozenset(seen)


def _events(client: DockerClient, filters: Mapping[str, object], until: datetime) -> Generator[Reading]:
    return events(client.stream_anew, client.timeout, filters, until.timestamp())


def _reaches(oldest: Reading, moment: datetime | None) -> bool:
    return moment is not None and oldest["timeNano"] <= moment.timestamp() * 1e9
