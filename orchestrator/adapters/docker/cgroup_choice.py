"""Chooses the control group above the group of each container, by the rights of the engine and of this process."""

import json
import math
import os
import re
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from itertools import pairwise
from pathlib import Path

from orchestrator.adapters.docker import systemd_units
from orchestrator.adapters.docker.cgroup import Cgroups
from orchestrator.adapters.docker.cgroup_parents import OURS, Folders, Parent, Parents, Slices, SlotSlices, parent_of, top_slice
from orchestrator.adapters.docker.client import DockerClient, Reading
from orchestrator.adapters.docker.engine_facts import EngineFacts
from orchestrator.adapters.docker.errors import SERVICE, translated
from orchestrator.adapters.docker.host_probe import HostProbe
from orchestrator.adapters.docker.systemd_units import Units
from orchestrator.errors import ContainerMissing, InfrastructureError
from orchestrator.ports import ContainerPlan, Counters, Owned
from orchestrator.task.labels import DEPLOYMENT

_SETTLE, _PAUSE = 2.0, 0.01
_ASK_AGAIN = 30.0
"""Seconds until a bus that did not answer is asked again. A bus that hangs would delay each look at each container."""
_CONFIG = Path("/etc/docker/daemon.json")
_PID_FILE = Path("/run/docker.pid")
_PROC = Path("/proc")
_OPTION, _CONFIG_OPTION = "cgroup-parent", "config-file"
_CONTAINER = re.compile(r"/containers/([0-9a-f]{64})/\S+ /etc/(?:hostname|hosts|resolv\.conf) ")
_OWN_GROUP = re.compile(r"^0::/(.*)/(?:docker-)?[0-9a-f]{64}(?:\.scope)?$", re.MULTILINE)
_USUAL = {"system.slice", "docker"}
_NO_PARENT = Parent("")
_NEEDED = ": the worker's container needs the bus, user 0, and no AppArmor profile that keeps it away"
Way = tuple[Parents | None, str]
"""How groups are made, or None; and the reason why figures are not exact, or an empty text."""


class _BusAway(Exception):
    """The bus did not answer, which may change."""


class CgroupChoice:
    """Makes a group above each container's own, if this process and the engine can have one. ``reason`` says why not.

    Without such a group, figures come from looks at the running container. For a remote engine there are none.
    """

    def __init__(self, client: DockerClient, cgroups: Cgroups, units: Units | None = None) -> None:
        self._client = client
        self._cgroups = cgroups
        self._units = units or Units()
        self._known: Way | None = None
        self._away_until = -math.inf

    @property
    def used(self) -> bool:
        """Whether containers get groups. Raises InfrastructureError."""
        return self.parents is not None

    @property
    def parents(self) -> Parents | None:
        """How groups are made here; None if they are not. Raises InfrastructureError."""
        return self._way[0]

    @property
    def reason(self) -> str:
        """Why figures after the end are not exact here; empty when they are. Raises InfrastructureError."""
        return self._way[1]

    def look_again(self) -> None:
        """Forget how groups are made, because the engine was started with other settings."""
        self._known = None
        self._away_until = -math.inf

    @property
    def _way(self) -> Way:
        """How groups are made, and why figures are not exact. A bus that is away is asked again later."""
        if self._known is None and time.monotonic() > self._away_until:
            try:
                self._known = self._found()
            except _BusAway:
                self._away_until = time.monotonic() + _ASK_AGAIN
        return self._known or (None, f"the system bus does not answer{_NEEDED if own_container() else ''}")

    def _found(self) -> Way:
        base = None
        reason = self._obstacle(self._client.ask()) if self._client.local else _REMOTE
        if not reason:
            base = self._base()
            reason = "" if base is not None else f"the engine's own {_OPTION} cannot be read, and its containers belong there"
        if base is None:
            return None, reason
        if self._client.facts.cgroup_driver == "systemd":
            return self._slices(base)
        usable = self._cgroups.usable
        return Folders(self._cgroups, base) if usable else None, "" if usable else _NOT_MADE

    def _obstacle(self, now: EngineFacts) -> str:
        """Why containers can have no groups at all.

        A socket may lead to another host. This process could neither read nor remove groups there.
        """
        driver, version = now.cgroup_driver, 2 if self._cgroups.unified else 1
        obstacles = {
            "the engine runs on another host, so its control groups cannot be read here": not self._here(now.host),
            "the engine is rootless, and its control groups are a user's own": now.is_rootless,
            "this process sees only its own container's control groups: give it those of the host": not self._cgroups.whole,
            f"the engine's cgroup driver is {driver} with cgroup v{version}": (driver, version)
            not in {("systemd", 2), ("cgroupfs", 1), ("cgroupfs", 2)},
        }
        return next((obstacle for obstacle, there in obstacles.items() if there), "")

    def _slices(self, base: str) -> Way:
        """Outside a container, a process that is not root does not need the bus."""
        try:
            refusal = self._units.refusal()
        except InfrastructureError as error:
            if own_container() or os.geteuid() == 0:
                raise _BusAway from error
            refusal = "the system bus does not answer"
        if not refusal:
            return Slices(self._cgroups, self._units, base), ""
        if own_container():
            return None, f"{refusal}{_NEEDED}"
        return SlotSlices(self._cgroups, base), f"{refusal}, so a peak is known only when it is the highest of its slice"

    def _base(self) -> str | None:
        """The engine's own ``cgroup-parent``; None if it is unknown.

        If this process is in a container of the engine, the parent of that container.
        """
        own = own_container()
        if not own:
            return self._parent_of_engine()
        with translated():
            host = self._client.api.inspect_container(own)["HostConfig"]
        return "" if host.get("CgroupParent") else parent_of_container()

    def _parent_of_engine(self) -> str | None:
        """The engine's own ``cgroup-parent`` as it can be seen from its host; None if it is unknown."""
        return default_parent(process=self._client.peer if self._client.local else lambda: None)

    def _here(self, host: str) -> bool:
        """Whether the engine is on this host: by the host's name, or because it runs the container that this process is in."""
        if host == socket.gethostname():
            return True
        own = own_container()
        try:
            with translated():
                return bool(own) and bool(self._client.api.inspect_container(own)["Id"])
        except ContainerMissing:
            return False

    def limits_on_all(self) -> str:
        """See DockerEngine. Only with slices is there a group that contains all tasks."""
        if not isinstance(self.parents, Slices | SlotSlices):
            return ""
        top = top_slice(self.parents.base)
        limits = ", ".join(f"{name} {value}" for name, value in self._cgroups.limits(top).items())
        there = limits or "no limit over all tasks together"
        return f"{top}: {there if self._cgroups.has(top) else 'not there before the first task'}"

    def parent(self, plan: ContainerPlan) -> Parent:
        """The parent for the create call; empty for the engine's own choice."""
        parents = self.parents if plan.name.startswith(OURS) else None
        if not parents:
            return _NO_PARENT
        return parents.take(plan.name, plan.labels.get(DEPLOYMENT)) or _NO_PARENT

    def count(self, reading: Reading) -> Counters | None:
        """The counts for the container of an answer to inspect; None if nothing can be read."""
        return self.parents.counted(reading) if self.parents and self._made(reading) else None

    def probe(self, reading: Reading, start: Callable[[], None] | None = None) -> HostProbe:
        """The figures of that container while it runs. ``start`` starts it if it does not run yet."""
        made = self._made(reading)
        count = (lambda: self.count(reading)) if made else None
        parent = made or _folder(parent_of(reading) or self._parent_of_engine() or "")
        name = str(reading.get("Name", "")).removeprefix("/")
        forget = partial(self.parents.forget, name) if self.parents and made else None
        probe = HostProbe(self._cgroups, reading, parent, count, forget)
        if start and self._client.local:
            probe.look_during(start)
        elif start:
            start()
        probe.look()
        return probe

    def remove(self, name: str, deployment: str) -> None:
        """Remove the group of the deployment's container of this name. A process that has just died may hold it for a moment.

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
        """The containers that have a group, also those that are gone."""
        if self.parents is None:
            return
        for name, age in self.parents.left(deployment):
            task_id, _, attempt = name.removeprefix(OURS).rpartition("-")
            if task_id and attempt.isdecimal():
                yield Owned(name, task_id, int(attempt), age)

    def _made(self, reading: Reading) -> str:
        """The group that was made for the container; empty if there is none."""
        return self.parents.group(parent_of(reading)) if self.parents else ""


def own_container(mounts: Path = Path("/proc/self/mountinfo")) -> str:
    """The id of the container that this process is in, from the files that the engine mounts; empty outside a container."""
    with suppress(OSError):
        found = _CONTAINER.search(mounts.read_text())
        return found[1] if found else ""
    return ""


def _folder(parent: str) -> str:
    """The folder of a parent: a slice or a plain folder."""
    return systemd_units.folder(parent) if parent.endswith(".slice") and "/" not in parent else parent.strip("/")


def parent_of_container(groups: Path = Path("/proc/self/cgroup")) -> str | None:
    """The slice of the container of this process; empty for the engine's default slice, None if it is not visible."""
    with suppress(OSError):
        found = _OWN_GROUP.search(groups.read_text())
        inside = found[1].rpartition("/")[2] if found else None
        return "" if inside in _USUAL else inside
    return None


def default_parent(
    config: Path = _CONFIG, pid_file: Path = _PID_FILE, process: Callable[[], int | None] = lambda: None
) -> str | None:
    """The engine's own ``cgroup-parent``, from its command line or its configuration; empty if it has none.

    ``process`` is asked for the engine's if its pid file is elsewhere. None when its configuration cannot be read. Raises what
    ``process`` does.
    """
    options = _options(pid_file, process)
    if _OPTION in options:
        return options[_OPTION].strip("/")
    try:
        return str(json.loads(Path(options.get(_CONFIG_OPTION) or config).read_text()).get(_OPTION) or "").strip("/")
    except FileNotFoundError:
        return ""
    except (OSError, ValueError, AttributeError):
        return None


def _options(pid_file: Path, process: Callable[[], int | None]) -> Mapping[str, str]:
    """The options of the engine's command line with their values, as far as they can be read."""
    try:
        pid: int | None = int(pid_file.read_text())
    except (OSError, ValueError):
        pid = process()
    words: list[str] = []
    with suppress(OSError, ValueError):
        words = [word.decode() for word in (_PROC / f"{pid}/cmdline").read_bytes().split(b"\0")]
    named = ((*word.removeprefix("--").partition("="), following) for word, following in pairwise([*words, ""]))
    return {name: value or following for name, _, value, following in named}


_REMOTE = "the engine is reached over a network, so its control groups cannot be read here"
_NOT_MADE = "this process may not make control groups: run the worker as root, beside the engine"
