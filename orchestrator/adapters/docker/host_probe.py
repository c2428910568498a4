"""Figures of a container from its host: the counts of its control group, and how full its tmpfs folders are.

A tmpfs ends with its container, unless a process holds it. If this process holds it, it can read how full it was at the end.
"""

import os
import re
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from attrs import evolve

from orchestrator.adapters.docker.cgroup import Cgroups
from orchestrator.adapters.docker.cgroup_parents import beside
from orchestrator.adapters.docker.client import Reading
from orchestrator.adapters.docker.container_config import OUT, SHM, TMP
from orchestrator.adapters.docker.oom_notice import OomNotice
from orchestrator.ports import Counters, Figure

_PAUSE = 0.004
_OTHERS = 8
_SIZE = re.compile(r"(?:^|,)size=(\d+)(?:,|$)")


class HostProbe:
    """Implements ports.ContainerProbe, for the container of an answer to inspect.

    ``parent`` is the folder of the parent of its group, empty if unknown. ``count`` reads the group that was made for it, which
    keeps its counts when the container's own group is gone; None if none was made. ``forget`` is called when no more reads
    follow.
    """

    def __init__(
        self,
        cgroups: Cgroups,
        reading: Reading,
        parent: str,
        count: Callable[[], Counters | None] | None = None,
        forget: Callable[[], None] | None = None,
    ) -> None:
        self._held: dict[str, int] = {}
        self._full: list[str] = []
        self._notice: OomNotice | None = None
        self._cgroups = cgroups
        self._count = count
        self._forget = forget
        self._places = cgroups.own(reading["Id"], parent)
        self._beside = beside(reading)
        self._folders = _folders(reading) if os.geteuid() == 0 else {}

    def __del__(self) -> None:
        """As files do."""
        self._let_go()

    def look_during(self, start: Callable[[], None]) -> None:
        """Start the container and look at it at the same time: a program may end before the engine reports its start."""
        over = threading.Event()
        looking = threading.Thread(target=self._look_until, args=(over,), daemon=True)
        looking.start()
        began = False
        try:
            start()
            began = True
        finally:
            over.set()
            looking.join()
            if not began:
                self.close()

    def look(self) -> bool:
        """Hold the folders of the container if it runs; whether they are or were held."""
        group, processes = self._found() if not self._held or self._unwatched else ("", [])
        if group and self._unwatched:
            self._notice = OomNotice.of(self._places[group])
        if self._held:
            return True
        for process in processes:
            opened = _opened(Path(f"/proc/{process}/root"), self._folders) if process else {}
            if opened and process in self._found()[1]:  # its id does not belong to another process by now
                self._held = opened
                break
            _close(opened.values())
        return bool(self._held)

    def counted(self) -> Counters | None:
        """See ports.ContainerProbe."""
        counted = self._count() if self._count else self._counted_while_it_runs()
        times = self._notice.times() if self._notice else 0
        if not counted or times <= counted.figures.get(Figure.OOM_KILLS, 0):
            return counted
        return evolve(counted, figures={**counted.figures, Figure.OOM_KILLS: times})

    def _counted_while_it_runs(self) -> Counters | None:
        own, processes = self._found()
        counted = self._cgroups.count(own, beside=self._beside) if processes else None
        return counted and evolve(counted, source=f"{counted.source}, while it ran")

    @property
    def _unwatched(self) -> bool:
        """Whether a count of kills may be lost with the container's own group."""
        return self._notice is None and not self._cgroups.unified

    def close(self) -> list[str]:
        """See ports.ContainerProbe."""
        if self._forget:
            self._forget()
        return self._let_go()

    def _let_go(self) -> list[str]:
        if self._notice:
            self._notice.close()
            self._notice = None
        while self._held:
            path, descriptor = self._held.popitem()
            room = os.statvfs(descriptor)
            os.close(descriptor)
            if not room.f_bavail or not room.f_ffree:
                self._full = sorted([*self._full, path])
        return self._full

    def _look_until(self, over: threading.Event) -> None:
        while self._folders and not self.look() and not over.wait(_PAUSE):
            pass

    def _found(self) -> tuple[str, list[int]]:
        """The container's own group and its processes, by their ids in this process's namespace; 0 for a process outside it."""
        for group, folder in self._places.items():
            with suppress(OSError, ValueError):
                return group, [int(process) for process in (folder / "cgroup.procs").read_text().split()]
        return "", []


def _opened(root: Path, folders: Mapping[str, int]) -> dict[str, int]:
    """The folders that have the requested size. Until a process is in its own root, it sees the engine's folders."""
    opened: dict[str, int] = {}
    for folder, size in folders.items():
        with suppress(OSError):
            descriptor = os.open(f"{root}{folder}", os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW)
            room = os.statvfs(descriptor)
            if room.f_blocks and room.f_blocks == -(-size // room.f_frsize):
                opened[folder] = descriptor
            else:
                os.close(descriptor)
    return opened


def _close(descriptors: Iterable[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def _folders(reading: Reading) -> dict[str, int]:
    """Its folders that are a tmpfs, and their sizes in bytes.

    An image may have any number of them, so only some are read, and none whose path may have a link of the image.
    """
    host = reading.get("HostConfig") or {}
    volumes = {mount["Target"]: _options(mount) for mount in host.get("Mounts") or ()}
    tmpfs: dict[str, str] = {**volumes, **(host.get("Tmpfs") or {})}
    ours = [path for path in (TMP, SHM, OUT) if path in tmpfs]
    others = sorted(path for path in tmpfs if path.rfind("/") == 0 and path not in ours)
    sizes = {path: _SIZE.search(tmpfs[path]) for path in [*ours, *others[:_OTHERS]]}
    return {path: int(size[1]) for path, size in sizes.items() if size}


def _options(mount: Reading) -> str:
    driver = (mount.get("VolumeOptions") or {}).get("DriverConfig") or {}
    return str((driver.get("Options") or {}).get("o", ""))
