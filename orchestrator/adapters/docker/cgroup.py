"""The control groups of this host, read from files. Knows no engine and no task.

A group above a container keeps its counts after the container has ended.
"""

import time
import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from attrs import frozen

from orchestrator.ports import Counters, Figure

HERE = Path("/sys/fs/cgroup")
_MOUNTS = Path("/proc/self/mountinfo")
_LOCAL = "memory_localevents"


@frozen
class Cgroups:
    """The groups below ``root``, where version 1 has a folder for each controller and version 2 one for all."""

    root: Path = HERE

    @property
    def usable(self) -> bool:
        """Whether this process sees the groups of the whole host and may make and remove groups."""
        probe = f"orchestrator-probe-{time.monotonic_ns()}"
        folders = [top / probe for top in self._tops()] if self.whole else []
        try:
            for folder in folders:
                folder.mkdir()
        except OSError:
            return False
        finally:
            self.remove(probe)
        return bool(folders)

    def count(self, group: str, before: Mapping[Figure, float] | None = None, *, beside: int = 1) -> Counters | None:
        """The counts of the group and the groups in it; None if no process that this process can see ran in it.

        ``before`` has the counts at the time when this container got the group, if other containers had it earlier. ``beside``
        processes of the container are not the program's.
        """
        version, table = (2, _V2) if self.unified else (1, _V1)
        read = {figure: self._most(group, figure, *where) for figure, where in table.items()}
        figures = {figure: value for figure, value in read.items() if value is not None}
        if Figure.PIDS_PEAK in figures:
            figures[Figure.PIDS_PEAK] = max(figures[Figure.PIDS_PEAK] - beside, 0)
        figures = _since(before, figures) if before else figures
        missing = {figure: why for figure, why in _LACKS.items() if figure not in figures and read[figure] is None}
        if before:
            missing |= {figure: _HIDDEN for figure in _PEAKS if read[figure] is not None and figure not in figures}
        return Counters(f"cgroup v{version}", figures, missing) if figures.get(Figure.CPU_TIME) else None

    def own(self, container: str, parent: str) -> dict[str, Path]:
        """The possible groups of the container, in ``parent`` or in the engines' default place; each with its folder."""
        groups = [f"{parent}/docker-{container}.scope", f"{parent}/{container}"] if parent else []
        groups += [f"system.slice/docker-{container}.scope", f"docker/{container}"]
        return {group: self.root / ("" if self.unified else "memory") / group for group in groups}

    def remove(self, group: str) -> None:
        """Remove the group if it exists and no process runs in it."""
        for folder in self._folders(group):
            for inner in _inside(folder):
                with suppress(OSError):
                    inner.rmdir()
            with suppress(OSError):
                folder.rmdir()

    def has(self, group: str) -> bool:
        """Whether the group exists."""
        return any(self._folders(group))

    def below(self, parent: str = "") -> Iterator[tuple[str, float]]:
        """The names of the groups in a group, and seconds since each was last changed."""
        found: dict[str, float] = {}
        for top in self._tops():
            for each in _inside(top / parent):
                with suppress(OSError):
                    found.setdefault(each.name, time.time() - each.stat().st_mtime)
        yield from found.items()

    def populated(self, group: str) -> bool:
        """Whether a process runs in the group or below it. Version 2 only."""
        return _figure(self.root / group / "cgroup.events", "populated") == 1

    def limits(self, group: str) -> dict[str, str]:
        """The limits that are set on a group, by the kernel's names. Version 2 only."""
        found: dict[str, str] = {}
        for name, unset in _UNSET.items():
            with suppress(OSError):
                value = (self.root / group / name).read_text().strip()
                found |= {name: value} if value not in unset else {}
        return found

    def _most(self, group: str, figure: Figure, controller: str, file: str, key: str | None, unit: float) -> float | None:
        """The larger value of a figure: of the group, or of the container's group in it.

        With a ``key``, the kernel counts only in the group that has the limit. So 0 means unknown if the container's own group
        is gone. For events, 0 means unknown also while the container exists, because an event may still come. At the end, a
        group that counts the events of the groups below knows that there was none.
        """
        folder = self.root / ("" if self.unified else controller) / group
        inside = _inside(folder)
        found = [_figure(each / file, key) for each in (folder, *inside)]
        values = [value for value in found if value is not None]
        if not values:
            return None
        if key is None:
            none_is_known = True
        elif figure in _EVENTS:
            none_is_known = not inside and self._counts_below(folder / file)
        else:
            none_is_known = bool(inside)
        return max(values) * unit if any(values) or none_is_known else None

    def _counts_below(self, file: Path) -> bool:
        """Whether a file of events counts those of the groups below: the kernel then has a file of the local ones beside it."""
        return self.unified and file.with_name(f"{file.name}.local").exists() and _LOCAL not in self._mount

    @property
    def _mount(self) -> str:
        """The mount options of version 2 here. With one of them, a group does not count the events of the groups below."""
        with suppress(OSError):
            return next((line for line in _MOUNTS.read_text().splitlines() if " - cgroup2 " in line), "")
        return ""

    @property
    def whole(self) -> bool:
        """Whether this process sees the groups of the whole host, not only those of its own container.

        The topmost group of a host has files that no group below it has, and the other way round.
        """
        if self.unified:
            return not (self.root / "cgroup.type").exists()
        return all((top / "release_agent").exists() for top in self._tops() if (top / "tasks").exists())

    @property
    def unified(self) -> bool:
        """Whether this is version 2, with one folder for all controllers."""
        return (self.root / "cgroup.controllers").exists()

    def _tops(self) -> list[Path]:
        """The folder of the worker's groups.

        If a folder has several names, such as ``cpu`` for ``cpu,cpuacct``, the real one.
        """
        if self.unified:
            return [self.root]
        return [top for top in _inside(self.root) if (top / "tasks").exists() or (top / "cgroup.procs").exists()]

    def _folders(self, group: str) -> Iterator[Path]:
        with suppress(OSError):
            yield from (folder for top in self._tops() if (folder := top / group).is_dir())


def group_name(container: str, owner: str | None) -> str:
    """The group of a container; ``owner`` keeps installations that share an engine apart."""
    return f"{container}.{digest(owner)}" if owner else container


def digest(owner: str) -> str:
    """Eight hex digits that identify an installation in the names of its groups."""
    return f"{zlib.crc32(owner.encode()):08x}"


def _since(before: Mapping[Figure, float], now: Mapping[Figure, float]) -> dict[Figure, float]:
    """The counts since ``before``. A peak is known only if it is higher than all earlier peaks."""
    peaks = {figure: value for figure, value in now.items() if figure in _PEAKS and value > before.get(figure, 0)}
    return peaks | {figure: value - before.get(figure, 0) for figure, value in now.items() if figure not in _PEAKS}


def _inside(folder: Path) -> list[Path]:
    try:
        return [each for each in folder.iterdir() if each.is_dir()]
    except OSError:
        return []


def _figure(file: Path, key: str | None) -> float | None:
    """The only number of a file, or the number after ``key`` in a file with many."""
    try:
        words = file.read_text().split()
        return float(words[0] if key is None else words[words.index(key) + 1])
    except (OSError, ValueError, IndexError):
        return None


_PEAKS = {Figure.MEMORY_PEAK, Figure.PIDS_PEAK}
_LACKS = {
    Figure.MEMORY_PEAK: "this kernel does not keep it, Linux 5.19 and later do",
    Figure.PIDS_PEAK: "this kernel does not keep it, Linux 6.1 and later do",
}
_HIDDEN = "an earlier task in the same slice went higher; a worker that is root gives each task a slice"
_UNSET: Mapping[str, set[str]] = {
    "memory.max": {"max"},
    "memory.high": {"max"},
    "cpu.max": {"max 100000"},
    "cpu.weight": {"100"},
    "pids.max": {"max"},
}
_EVENTS = {Figure.MEMORY_REFUSED, Figure.OOM_KILLS, Figure.PIDS_REFUSED}
_V1 = {
    Figure.CPU_TIME: ("cpuacct", "cpuacct.usage", None, 1e-9),
    Figure.THROTTLED: ("cpu", "cpu.stat", "throttled_time", 1e-9),
    Figure.MEMORY_PEAK: ("memory", "memory.max_usage_in_bytes", None, 1),
    Figure.OOM_KILLS: ("memory", "memory.oom_control", "oom_kill", 1),
    Figure.PIDS_PEAK: ("pids", "pids.peak", None, 1),
    Figure.PIDS_REFUSED: ("pids", "pids.events", "max", 1),
}
_V2 = {
    Figure.CPU_TIME: ("", "cpu.stat", "usage_usec", 1e-6),
    Figure.THROTTLED: ("", "cpu.stat", "throttled_usec", 1e-6),
    Figure.MEMORY_PEAK: ("", "memory.peak", None, 1),
    Figure.MEMORY_REFUSED: ("", "memory.events", "oom", 1),
    Figure.OOM_KILLS: ("", "memory.events", "oom_kill", 1),
    Figure.PIDS_PEAK: ("", "pids.peak", None, 1),
    Figure.PIDS_REFUSED: ("", "pids.events", "max", 1),
}
"""The place of each figure: controller, file, the key in a file with many figures, and the factor to this package's unit."""
