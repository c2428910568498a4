"""The control groups of this host: one above each container, which goes on counting when the container has ended.

They are used only where the engine is on this host and makes groups as plain folders. Knows files, no engine and no task.
"""

import time
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from attrs import frozen

from orchestrator.ports import Counted, Figure

HERE = Path("/sys/fs/cgroup")


@frozen
class Cgroups:
    """The groups below ``root``, where version 1 has a folder for each controller and version 2 one for all."""

    root: Path = HERE

    @property
    def usable(self) -> bool:
        """Whether this process sees the groups of the whole host, not only those of its own container, and may remove them."""
        probe = f"orchestrator-probe-{time.monotonic_ns()}"
        folders = [top / probe for top in self._tops()] if self._whole else []
        try:
            for folder in folders:
                folder.mkdir()
        except OSError:
            return False
        finally:
            self.remove(probe)
        return bool(folders)

    def count(self, group: str) -> Counted | None:
        """What the group and those in it have counted so far; None when nothing ran in it that this process could see."""
        version, table = (2, _V2) if self._unified else (1, _V1)
        read = {figure: self._most(group, figure, *where) for figure, where in table.items()}
        figures = {figure: value for figure, value in read.items() if value is not None}
        if Figure.PIDS_PEAK in figures:
            figures[Figure.PIDS_PEAK] = max(figures[Figure.PIDS_PEAK] - 1, 0)
        return Counted(f"cgroup v{version}", figures) if figures.get(Figure.CPU_TIME) else None

    def own(self, container: str, parent: str) -> dict[str, Path]:
        """What its own group may be, in ``parent`` or where engines put it by themselves; each with its folder."""
        groups = [f"{parent}/{container}"] if parent else [f"system.slice/docker-{container}.scope", f"docker/{container}"]
        return {group: self.root / ("" if self._unified else "memory") / group for group in groups}

    def remove(self, group: str) -> None:
        """Remove the group, where it is there and nothing runs in it any more."""
        for folder in self._folders(group):
            for inner in _inside(folder):
                with suppress(OSError):
                    inner.rmdir()
            with suppress(OSError):
                folder.rmdir()

    def has(self, group: str) -> bool:
        """Whether the group is there."""
        return any(self._folders(group))

    def owned(self, owner: str, prefix: str) -> Iterator[tuple[str, float]]:
        """The containers of ``owner`` that have a group, by name, and seconds since it was last changed."""
        for group in self._all():
            name, _, tail = group.rpartition(".")
            if name.startswith(prefix) and tail == _digest(owner):
                for folder in list(self._folders(group))[:1]:
                    with suppress(OSError):
                        yield name, time.time() - folder.stat().st_mtime

    def _most(self, group: str, figure: Figure, controller: str, file: str, key: str | None, unit: float) -> float | None:
        """The largest of a figure in the group and in that of the container inside.

        With a ``key`` it is counted only where the limit is, and none is unknown once the container's own group is gone; of
        events none is unknown before, too, for one may come yet.
        """
        folder = self.root / ("" if self._unified else controller) / group
        inside = _inside(folder)
        found = [_figure(each / file, key) for each in (folder, *inside)]
        values = [value for value in found if value is not None]
        known = values and (any(values) or key is None or (inside and figure not in _EVENTS))
        return max(values) * unit if known else None

    @property
    def _whole(self) -> bool:
        """The topmost group of a host has what none below it has, and the other way round."""
        if self._unified:
            return not (self.root / "cgroup.type").exists()
        return all((top / "release_agent").exists() for top in self._tops() if (top / "tasks").exists())

    @property
    def _unified(self) -> bool:
        return (self.root / "cgroup.controllers").exists()

    def _tops(self) -> list[Path]:
        """Where groups of ours are: of names for one and the same folder, as ``cpu`` for ``cpu,cpuacct``, the real one."""
        if self._unified:
            return [self.root]
        return [top for top in _inside(self.root) if (top / "tasks").exists() or (top / "cgroup.procs").exists()]

    def _folders(self, group: str) -> Iterator[Path]:
        with suppress(OSError):
            yield from (folder for top in self._tops() if (folder := top / group).is_dir())

    def _all(self) -> set[str]:
        with suppress(OSError):
            return {group.name for top in self._tops() for group in _inside(top)}
        return set()


def group_name(container: str, owner: str | None) -> str:
    """The group of a container; ``owner`` keeps installations that share an engine apart."""
    return f"{container}.{_digest(owner)}" if owner else container


def _digest(owner: str) -> str:
    return f"{zlib.crc32(owner.encode()):08x}"


def _inside(folder: Path) -> list[Path]:
    try:
        return [each for each in folder.iterdir() if each.is_dir()]
    except OSError:
        return []


def _figure(file: Path, key: str | None) -> float | None:
    """A file's only number, or that after ``key`` in a file of many."""
    try:
        words = file.read_text().split()
        return float(words[0] if key is None else words[words.index(key) + 1])
    except (OSError, ValueError, IndexError):
        return None


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
"""Where each figure is: controller, file, the key in a file of many figures, and what its unit is in ours."""
