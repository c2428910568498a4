"""Whether an engine went down and took a program with it: by when the engine was started and what it says of the program's end.

Its memory of events has no say: it is short, and a busy engine has forgotten anything within seconds.
"""

from contextlib import suppress
from datetime import datetime

from orchestrator.adapters.docker.client import DockerClient
from orchestrator.adapters.docker.container_state import instant
from orchestrator.adapters.docker.engine_process import engine_started, machine_started
from orchestrator.adapters.docker.errors import translated
from orchestrator.errors import ContainerMissing
from orchestrator.ports import ContainerState

_SHUT_DOWN = frozenset({137, 143, 255})
"""Exit codes of a program that got KILL or TERM, and of one of which the engine does not know how it ended."""


def took_down(client: DockerClient, state: ContainerState, *, away: bool) -> bool:
    """See ports.Engine. Asks over a new connection, which an engine that is just going down does not take."""
    bridge = _bridge_made(client)
    if state.finished_at is None:
        return True
    if state.started_at is None or (bridge and state.started_at >= bridge):
        return False
    with translated():
        keeps = client.api.info()["LiveRestoreEnabled"]
    machine = machine_started() if client.local else None
    process = machine if keeps else _process_started(client)
    sources = [machine] if keeps and machine else [bridge, process]
    return _explained(state, [each for each in sources if each], process or machine, away=away)


def _explained(state: ContainerState, starts: list[datetime], noted: datetime | None, *, away: bool) -> bool:
    """Whether a start of the engine explains the end; ``starts`` are what is known of when it was, by clocks that may differ.

    An end that was noted after that start, of a program that began before, was not seen: the engine that came up ended what it
    found, or found nothing and made up the exit code, which is 0 before version 25.
    """
    began, ended = state.started_at, state.finished_at
    if began is None or ended is None or (starts and began >= min(starts)):
        return False
    if noted and began < noted <= ended:
        return True
    shut_down = state.exit_code in _SHUT_DOWN
    if not starts:
        return away and shut_down
    return state.exit_code != 0 and (away or shut_down)


def _bridge_made(client: DockerClient) -> datetime | None:
    """When the engine's default bridge was made, which it does when it comes up; None when it is told to have none.

    An engine that keeps programs alive keeps the bridge, too, unless none of them is left.
    """
    with (
        suppress(ContainerMissing),
        client.stream_anew("GET", "/networks/bridge", silence=client.timeout) as response,
        translated(),
    ):
        return instant(response.json()["Created"])
    return None


def bridge_id(client: DockerClient) -> str:
    """The id of that bridge; empty when there is none. Raises InfrastructureError."""
    with suppress(ContainerMissing), translated():
        return str(client.api.inspect_network("bridge")["Id"])
    return ""


def _process_started(client: DockerClient) -> datetime | None:
    peer = client.peer() if client.local else None
    return engine_started(peer) if peer else None
