"""The control group above each container's own: its name, its removal, and the groups that lost containers have left.

There is a class for each driver of an engine: plain folders; a slice of systemd for each container; and slices that are used
again, if this process may not stop slices.
"""

import json
import os
import re
import socket
from collections.abc import Iterator, Mapping
from typing import Protocol

from attrs import define, field, frozen

from orchestrator.adapters.docker import systemd_units
from orchestrator.adapters.docker.cgroup import Cgroups, digest, group_name
from orchestrator.adapters.docker.client import Reading
from orchestrator.adapters.docker.systemd_units import Units, escape, unescape
from orchestrator.ports import Counters, Figure

OURS = "orchestrator-"
BEFORE = "orchestrator.cgroup.before"
"""The label of a container with the counts that its slice had before."""
_SLICE = ".slice"
_SLOT = "slot_"
_SLOTS = 256
_SLOT_NAME = re.compile(rf"{_SLOT}[0-9a-f]{{8}}_\d+_\d+{re.escape(_SLICE)}")


@frozen
class Parent:
    """The parent of a container's group, as the create call takes it, and the labels that belong to it."""

    name: str
    labels: Mapping[str, str] = field(factory=dict)


class Parents(Protocol):
    """One way to have a group above each container."""

    def take(self, container: str, owner: str | None) -> Parent | None:
        """The parent for a container that is about to be made; None if it can have none."""

    def group(self, parent: str) -> str:
        """The folder of a parent that this package made; empty for any other."""

    def counted(self, reading: Reading) -> Counters | None:
        """The counts for the container of an answer to inspect; None if they are unknown."""

    def forget(self, container: str) -> None:
        """Called when the container's figures have been read."""

    def drop(self, container: str, owner: str) -> bool:
        """Remove the group of a container that is gone; whether the group is gone. Raises InfrastructureError."""

    def left(self, owner: str) -> Iterator[tuple[str, float]]:
        """The containers of ``owner`` that have a group, by name, and seconds since it was last changed."""


@frozen
class Folders:
    """Plain folders, for the driver ``cgroupfs``; ``base`` is the engine's own ``cgroup-parent``, or empty."""

    cgroups: Cgroups
    base: str = ""

    def take(self, container: str, owner: str | None) -> Parent:
        """See Parents."""
        return Parent(f"/{self._folder(group_name(container, owner))}")

    def group(self, parent: str) -> str:
        """See Parents."""
        group = parent.removeprefix("/")
        name = group.removeprefix(self._folder(""))
        return group if parent.startswith("/") and group == self._folder(name) and _plain(name) else ""

    def counted(self, reading: Reading) -> Counters | None:
        """See Parents."""
        return self.cgroups.count(self.group(parent_of(reading)), beside=beside(reading))

    def forget(self, container: str) -> None:
        """See Parents."""

    def drop(self, container: str, owner: str) -> bool:
        """See Parents."""
        group = self._folder(group_name(container, owner))
        self.cgroups.remove(group)
        return not self.cgroups.has(group)

    def left(self, owner: str) -> Iterator[tuple[str, float]]:
        """See Parents."""
        for group, age in self.cgroups.below(self.base):
            name, _, tail = group.rpartition(".")
            if name.startswith(OURS) and tail == digest(owner):
                yield name, age

    def _folder(self, name: str) -> str:
        return f"{self.base}/{name}" if self.base else name


@frozen
class Slices:
    """A slice for each container, for the driver ``systemd``; ``base`` is the engine's own slice, or empty.

    A slice and its counts stay after its container has gone, until the slice is stopped.
    """

    cgroups: Cgroups
    units: Units
    base: str = ""

    def take(self, container: str, owner: str | None) -> Parent | None:
        """See Parents. There is no parent if the name is too long for a unit."""
        unit = self._unit(container, owner)
        return Parent(unit) if len(unit) <= systemd_units.LONGEST else None

    def group(self, parent: str) -> str:
        """See Parents."""
        own = parent.startswith(self._prefix) and parent.endswith(_SLICE) and "/" not in parent
        return systemd_units.folder(parent) if own and not _is_slot(parent, self.base) else ""

    def counted(self, reading: Reading) -> Counters | None:
        """See Parents."""
        return self.cgroups.count(self.group(parent_of(reading)), beside=beside(reading))

    def forget(self, container: str) -> None:
        """See Parents."""

    def drop(self, container: str, owner: str) -> bool:
        """See Parents. Stopping a slice ends the processes in it, so a slice that is not empty is left."""
        unit = self._unit(container, owner)
        group = systemd_units.folder(unit)
        if not self.cgroups.has(group):
            return True
        if not self.cgroups.populated(group):
            self.units.stop(unit)
        return not self.cgroups.has(group)

    def left(self, owner: str) -> Iterator[tuple[str, float]]:
        """See Parents."""
        tail = f".{digest(owner)}{_SLICE}"
        for unit, age in self.cgroups.below(top_slice(self.base)):
            if unit.startswith(self._prefix) and unit.endswith(tail):
                yield OURS + unescape(unit.removeprefix(self._prefix).removesuffix(tail)), age

    @property
    def _prefix(self) -> str:
        return _prefix(self.base)

    def _unit(self, container: str, owner: str | None) -> str:
        return f"{self._prefix}{group_name(escape(container.removeprefix(OURS)), owner)}{_SLICE}"


@define
class SlotSlices:
    """Slices that are used again, for a process that may not stop slices. Their number is the most that were in use at once.

    A process owns a slot while it holds a socket with the slot's name. The figures of a container are the counts since it got
    the slot. For a slot that this process does not hold, it is unknown whether another process has used it since. A slice that
    a worker with more rights gave a container is read as it is, and left.
    """

    cgroups: Cgroups
    base: str = ""
    _held: dict[str, "_Slot"] = field(factory=dict)

    def take(self, container: str, owner: str | None) -> Parent | None:
        """See Parents."""
        slot = self._held.get(container) or self._free(owner)
        if slot is None:
            return None
        self._held[container] = slot
        before = self.cgroups.count(systemd_units.folder(slot.unit))
        return Parent(slot.unit, {BEFORE: json.dumps(before.figures if before else {})})

    def group(self, parent: str) -> str:
        """See Parents."""
        own = parent.startswith(_prefix(self.base)) and parent.endswith(_SLICE) and "/" not in parent
        return systemd_units.folder(parent) if own else ""

    def counted(self, reading: Reading) -> Counters | None:
        """See Parents. The slot of a container that another process started is taken over while it runs."""
        parent = parent_of(reading)
        group = self.group(parent)
        if not group or not _is_slot(parent, self.base):
            return self.cgroups.count(group, beside=beside(reading)) if group else None
        if not self._holds(reading, group):
            return None
        return self.cgroups.count(group, before_of(reading), beside=beside(reading))

    def forget(self, container: str) -> None:
        """See Parents. The slot is free, and its slice stays for the next."""
        if slot := self._held.pop(container, None):
            slot.socket.close()

    def drop(self, container: str, owner: str) -> bool:  # noqa: ARG002
        """See Parents."""
        self.forget(container)
        return True

    def left(self, owner: str) -> Iterator[tuple[str, float]]:  # noqa: ARG002
        """See Parents."""
        yield from ()

    def _holds(self, reading: Reading, group: str) -> bool:
        name, unit = reading["Name"].removeprefix("/"), parent_of(reading)
        if name in self._held:
            return self._held[name].unit == unit
        if not self.cgroups.has(f"{group}/docker-{reading['Id']}.scope"):
            return False
        slot = _bind(unit)
        if slot and self.cgroups.has(f"{group}/docker-{reading['Id']}.scope"):
            self._held[name] = slot
            return True
        return False

    def _free(self, owner: str | None) -> "_Slot | None":
        for number in range(_SLOTS):
            unit = f"{_prefix(self.base)}{_SLOT}{digest(owner or '')}_{os.geteuid()}_{number}{_SLICE}"
            slot = _bind(unit)
            if slot and not self.cgroups.populated(systemd_units.folder(unit)):
                return slot
            if slot:
                slot.socket.close()
        return None


@frozen
class _Slot:
    unit: str
    socket: socket.socket


def _bind(unit: str) -> _Slot | None:
    """A name that one process of this host can hold at a time. It is free when the process dies."""
    held = socket.socket(socket.AF_UNIX)
    try:
        held.bind(f"\0{unit}")
    except OSError:
        held.close()
        return None
    return _Slot(unit, held)


def parent_of(reading: Reading) -> str:
    """The parent in an answer to inspect; empty for the engine's own choice."""
    return (reading.get("HostConfig") or {}).get("CgroupParent") or ""


def beside(reading: Reading) -> int:
    """How many processes of the container are not the program's: the init process, unless the task does without."""
    return 1 if (reading.get("HostConfig") or {}).get("Init") else 0


def before_of(reading: Reading) -> Mapping[Figure, float]:
    """The counts that the slice of a container had before, from the container's label."""
    labels = (reading.get("Config") or {}).get("Labels") or {}
    return {Figure(name): float(value) for name, value in json.loads(labels.get(BEFORE, "{}")).items()}


def top_slice(base: str = "") -> str:
    """The folder of the slice that all slices of tasks are in."""
    return systemd_units.folder(_prefix(base).removesuffix("-") + _SLICE)


def _prefix(base: str) -> str:
    inner = base.removesuffix(_SLICE)
    return f"{inner}-{OURS}" if inner else OURS


def _is_slot(unit: str, base: str) -> bool:
    return bool(_SLOT_NAME.fullmatch(unit.removeprefix(_prefix(base))))


def _plain(name: str) -> bool:
    return name.startswith(OURS) and "/" not in name
