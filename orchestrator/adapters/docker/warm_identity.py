"""Whose a container is that waited for its program, and whether a program began in it.

The labels of a container never change. So the first line of its log has those of its task, written by the container's own
process just before it becomes the program. While a log is empty, no program has begun.
"""

from collections.abc import Mapping
from contextlib import closing
from datetime import datetime

from attrs import evolve, frozen

from orchestrator.adapters.docker.client import DockerClient, Reading
from orchestrator.adapters.docker.demux import log_messages
from orchestrator.adapters.docker.handover import NEVER_BEGAN, labels_of
from orchestrator.adapters.docker.log_end import written
from orchestrator.adapters.docker.recent import Recent
from orchestrator.ports import ContainerState, Phase
from orchestrator.task.labels import WARM


@frozen
class Begun:
    """What a begin line says. ``at`` is by the engine's clock."""

    labels: Mapping[str, str]
    at: datetime


class Identities:
    """What is known of the containers of one engine that waited. What this process handed over is not looked for."""

    def __init__(self, client: DockerClient) -> None:
        self._client = client
        self._known = Recent[Begun]()
        self._meant = Recent[Mapping[str, str]]()

    def mean(self, container: str, labels: Mapping[str, str]) -> None:
        """The container has the name of a task with these labels, and is about to get its program."""
        self._meant.put(container, labels)

    def note(self, container: str, labels: Mapping[str, str], at: datetime) -> None:
        """A program began in the container."""
        self._known.put(container, Begun(labels, at))

    def begun(self, container: str) -> Begun | None:
        """The begin line of the container; None if it has none, or none any more. Raises ContainerMissing."""
        if known := self._known.get(container):
            return known
        if (first := self._first(container, stderr=0)) and (labels := labels_of(first[1])):
            return self._known.put(container, Begun(labels, first[0]))
        return None

    def has_begun(self, container: str) -> bool:
        """Whether anything was ever written in the container: the engine may have dropped the begin of a long log."""
        return bool(self._known.get(container) or self._first(container, tail=1))

    def _first(self, container: str, **wanted: int) -> tuple[datetime, bytes] | None:
        """The time and the text of the first message in the log; None if it is empty."""
        with closing(log_messages(self._client, container, **wanted)) as log:
            first = next(filter(len, log), None)
        return (written(first.stamps[0]), first.texts[0]) if first else None

    def labels(self, reading: Reading) -> Mapping[str, str]:
        """The labels of a container, with those of its task. Of one whose program did not begin, only its own process knows."""
        labels: Mapping[str, str] = reading["Config"]["Labels"] or {}
        if WARM not in labels:
            return labels
        container = reading["Id"]
        begun = self.begun(container)
        return {**labels, **(begun.labels if begun else self._meant.get(container) or {})}

    def state(self, state: ContainerState) -> ContainerState:
        """The state as if the container had been made for its task: not started before the program began.

        One that waits, or ended because its worker died, was never started. If the begin line was dropped from a long log, the
        first line of the rest stands for the begin.
        """
        if WARM not in state.labels:
            return state
        if begun := self.begun(state.id):
            return evolve(state, labels={**state.labels, **begun.labels}, started_at=begun.at)
        if first := self._first(state.id):
            return evolve(state, started_at=first[0])
        waits = state.phase is Phase.RUNNING or state.exit_code == NEVER_BEGAN
        if waits and not state.removing:
            labels = {**state.labels, **(self._meant.get(state.id) or {})}
            return evolve(state, labels=labels, phase=Phase.CREATED, started_at=None, finished_at=None)
        return state
