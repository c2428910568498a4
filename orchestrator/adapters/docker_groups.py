"""Which control group each container gets above its own, by what the engine and this process may do."""

import json
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cached_property
from itertools import pairwise
from pathlib import Path

from orchestrator.adapters import systemd_units
from orchestrator.adapters.cgroup import Cgroups
from orchestrator.adapters.cgroup_parents import OURS, Folders, Parent, Parents, Slices, SlotSlices, parent_of
from orchestrator.adapters.docker_client import DockerClient, Reading
from orchestrator.adapters.docker_errors import SERVICE, translated
from orchestrator.adapters.docker_footprint import HostFootprint
from orchestrator.adapters.systemd_units import Units
from orchestrator.errors import ContainerMissing, InfrastructureError
from orchestrator.labels import DEPLOYMENT
from orchestrator.ports import ContainerPlan, Counted, Owned

_SETTLE, _PAUSE = 2.0, 0.01
_CONFIG = Path("/etc/docker/daemon.json")
_PID_FILE = Path("/run/docker.pid")
_PROC = Path("/proc")
_OPTION = "cgroup-parent"
_CONTAINER = re.compile(r"/containers/([0-9a-f]{64})/")
_NO_PARENT = Parent("")


class Groups:
    """A group above each container's own, where this process and the engine can have one; ``reason`` says why not.

    Without one, what can be seen while a container runs has to do; of a remote engine nothing can.
    """

    def __init__(self, client: DockerClient, cgroups: Cgroups, units: Units | None = None) -> None:
        self._client = client
        self._cgroups = cgroups
        self._units = units or Units()

    @property
    def used(self) -> bool:
        """Whether containers get groups. Raises InfrastructureError."""
        return self.parents is not None

    @property
    def parents(self) -> Parents | None:
        """The way that groups are made here; None where there is none. Raises InfrastructureError."""
        return self._way[0]

    @property
    def reason(self) -> str:
        """Why figures after the end are not exact here; empty when they are. Raises InfrastructureError."""
        return self._way[1]

    @cached_property
    def _way(self) -> tuple[Parents | None, str]:
        """A socket may lead to another host, and what is made there could not be read or removed from here."""
        if not self._client.local:
            return None, "the engine is reached over a network, so its control groups cannot be read here"
        with translated():
            info = self._client.api.info()
        if not self._here(info):
            return None, "the engine runs on another host, so its control groups cannot be read here"
        if not self._cgroups.whole:
            return None, "this process sees only the control groups of its own container: give it those of the host"
        driver = info.get("CgroupDriver")
        if driver == "cgroupfs":
            usable = self._cgroups.usable
            return Folders(self._cgroups, default_parent()) if usable else None, "" if usable else _NOT_ROOT
        if driver == "systemd" and self._cgroups.unified:
            return self._slices()
        return None, f"the engine's cgroup driver is {driver} with cgroup v{2 if self._cgroups.unified else 1}"

    def _slices(self) -> tuple[Parents | None, str]:
        refusal, base = self._units.refusal(), default_parent()
        if not refusal:
            return Slices(self._cgroups, self._units, base), ""
        if own_container():
            return None, f"{refusal}: give the worker's container the bus's socket, and user 0"
        return SlotSlices(self._cgroups, base), f"{refusal}, so a peak is known only when it is the highest of its slice"

    def _here(self, info: Reading) -> bool:
        """Whether the engine is on this host: by the host's name, or because it runs the container that this process is in."""
        if info.get("Name") == socket.gethostname():
            return True
        own = own_container()
        try:
            with translated():
                return bool(own) and bool(self._client.api.inspect_container(own)["Id"])
        except ContainerMissing:
            return False

    def parent(self, plan: ContainerPlan) -> Parent:
        """What the create call takes: empty for the engine's own choice."""
        parents = self.parents if plan.name.startswith(OURS) else None
        return (parents and parents.take(plan.name, plan.labels.get(DEPLOYMENT))) or _NO_PARENT

    def count(self, reading: Reading) -> Counted | None:
        """What has been counted for the container of an answer to inspect; None where nothing can be read."""
        return self.parents.counted(reading) if self.parents and self._made(reading) else None

    def footprint(self, reading: Reading, start: Callable[[], None] | None = None) -> HostFootprint:
        """What can be seen of that container while it runs, which ``start`` lets it do if it does not yet."""
        made = self._made(reading)
        count = (lambda: self.count(reading)) if made else None
        footprint = HostFootprint(self._cgroups, reading, made or _folder(parent_of(reading) or default_parent()), count)
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
        if not name.startswith(OURS) or not self.parents:
            return
        deadline = time.monotonic() + _SETTLE
        while not self.parents.drop(name, deployment):
            if time.monotonic() > deadline:
                raise InfrastructureError(SERVICE, f"the control group of {name} is still in use")
            time.sleep(_PAUSE)

    def owned(self, deployment: str) -> Iterator[Owned]:
        """The containers that have a group, be they there or not."""
        for name, age in self.parents.left(deployment) if self.parents else ():
            task_id, _, attempt = name.removeprefix(OURS).rpartition("-")
            if task_id and attempt.isdecimal():
                yield Owned(name, task_id, int(attempt), age)

    def _made(self, reading: Reading) -> str:
        """The group that was made for the container; empty when it has none."""
        return self.parents.group(parent_of(reading)) if self.parents else ""


def own_container(mounts: Path = Path("/proc/self/mountinfo")) -> str:
    """The id of the container that this process is in, which the engine's files for it tell; empty outside of one."""
    with suppress(OSError):
        found = _CONTAINER.search(mounts.read_text())
        return found[1] if found else ""
    return ""


def _folder(parent: str) -> str:
    """The folder of any parent, be it a slice or plain."""
    return systemd_units.folder(parent) if parent.endswith(".slice") and "/" not in parent else parent.strip("/")


def default_parent(config: Path = _CONFIG, pid_file: Path = _PID_FILE) -> str:
    """The engine's own ``cgroup-parent``, from its configuration or its command line; empty when it has none."""
    words: list[str] = []
    with suppress(OSError, ValueError):
        words = [word.decode() for word in (_PROC / pid_file.read_text().strip() / "cmdline").read_bytes().split(b"\0")]
    for word, following in pairwise([*words, ""]):
        name, _, value = word.removeprefix("--").partition("=")
        if name == _OPTION:
            return (value or following).strip("/")
    with suppress(OSError, ValueError, AttributeError):
        return str(json.loads(config.read_text()).get(_OPTION) or "").strip("/")
    return ""


_NOT_ROOT = "this user may not make control groups: run the worker as root"
