"""Which control group each container gets, where the engine is on this host and lets groups be plain folders."""

import socket
import time
from collections.abc import Callable, Iterator
from functools import cached_property

from orchestrator.adapters.cgroup import Cgroups, group_name
from orchestrator.adapters.docker_client import DockerClient, Reading
from orchestrator.adapters.docker_errors import SERVICE, translated
from orchestrator.adapters.docker_footprint import HostFootprint
from orchestrator.errors import InfrastructureError
from orchestrator.labels import DEPLOYMENT
from orchestrator.ports import ContainerPlan, Counted, Owned

_OURS = "orchestrator-"
_SETTLE, _PAUSE = 2.0, 0.05


class Groups:
    """A group above each container's own.

    With systemd's driver none is made, and what can be seen while a container runs has to do; of a remote engine nothing is.
    """

    def __init__(self, client: DockerClient, cgroups: Cgroups) -> None:
        self._client = client
        self._cgroups = cgroups

    @cached_property
    def used(self) -> bool:
        """Whether containers get groups. Raises InfrastructureError.

        A socket may lead to another host, and what is made there could not be removed from here.
        """
        with translated():
            info = self._client.api.info() if self._client.local else {}
        here = info.get("Name") == socket.gethostname()
        return here and info.get("CgroupDriver") == "cgroupfs" and self._cgroups.usable

    def parent(self, plan: ContainerPlan) -> str:
        """What the create call takes: empty for the engine's own choice."""
        ours = plan.name.startswith(_OURS) and self.used
        return f"/{group_name(plan.name, plan.labels.get(DEPLOYMENT))}" if ours else ""

    def count(self, reading: Reading) -> Counted | None:
        """What has been counted for the container of an answer to inspect; None where nothing can be read."""
        group = _made(reading)
        return self._cgroups.count(group) if group else None

    def footprint(self, reading: Reading, start: Callable[[], None] | None = None) -> HostFootprint:
        """What can be seen of that container while it runs, which ``start`` lets it do if it does not yet."""
        footprint = HostFootprint(self._cgroups, reading, _made(reading))
        if start and self._client.local:
            footprint.look_during(start)
        elif start:
            start()
        footprint.look()
        return footprint

    def remove(self, name: str, deployment: str) -> None:
        """Remove the group of the deployment's container of this name; what died a moment ago may hold it for a while.

        The container must be gone. Raises InfrastructureError when the group stays in use.
        """
        deadline = time.monotonic() + _SETTLE
        group = group_name(name, deployment)
        while name.startswith(_OURS) and self.used and self._cgroups.has(group):
            self._cgroups.remove(group)
            if time.monotonic() > deadline:
                raise InfrastructureError(SERVICE, f"the control group of {name} is still in use")
            if self._cgroups.has(group):
                time.sleep(_PAUSE)

    def owned(self, deployment: str) -> Iterator[Owned]:
        """The containers that have a group, be they there or not."""
        for name, age in self._cgroups.owned(deployment, _OURS) if self.used else ():
            task_id, _, attempt = name.removeprefix(_OURS).rpartition("-")
            if task_id and attempt.isdecimal():
                yield Owned(name, task_id, int(attempt), age)


def _made(reading: Reading) -> str:
    """The group that was made for the container; empty when it has none."""
    parent = (reading.get("HostConfig") or {}).get("CgroupParent") or ""
    group = parent.removeprefix("/")
    return group if parent.startswith(f"/{_OURS}") and "/" not in group else ""
