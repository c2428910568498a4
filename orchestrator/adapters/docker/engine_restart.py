"""Whether an engine went down and ended a program: by the start of the engine, and by its record of the program's end.

The engine's events are not used: it keeps few, and a busy engine forgets them within seconds.
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
"""Exit codes of a program that got KILL or TERM, and of a program whose end the engine did not see."""


def took_down(client: DockerClient, state: ContainerState, *, away: bool) -> bool:
    """See ports.Engine. Asks over a new connection, because an engine that goes down does not accept one."""
    bridge = _bridge_made(client)
    if state.finished_at is None:
        return True
    if state.started_at is None or (bridge and state.started_at >= bridge):
        return False
    keeps = client.ask().keeps_programs
    machine = machine_started() if client.local else None
    process = machine if keeps else process_started(client)
    sources = [machine] if keeps and machine else [bridge, process]
    return _explained(state, [each for each in sources if each], process or machine, away=away)


def _explained(state: ContainerState, starts: list[datetime], noted: datetime | None, *, away: bool) -> bool:
    """Whether a start of the engine explains the end. ``starts`` are its known times, by clocks that may differ.

    If a program began before that start, and its end was noted after it, then the engine did not see the end. The new engine
    ended the program, or found none and made up the exit code, which is 0 before version 25.
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
    """The time when the engine made its default bridge, which it does at its start; None if it is configured without one.

    An engine with live-restore keeps the bridge, unless no program is left.
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


def process_started(client: DockerClient) -> datetime | None:
    """When the engine's process began; None where that is not to be seen."""
    peer = client.peer() if client.local else None
    return engine_started(peer) if peer else None
