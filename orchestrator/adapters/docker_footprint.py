"""What can be seen of a container from its host: the counts of its control group, and how full its tmpfs folders are.

A tmpfs is gone with its container, unless somebody holds it: one that is held can be asked how full it was at the end.
"""

import os
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from attrs import evolve

from orchestrator.adapters.cgroup import Cgroups
from orchestrator.adapters.docker_client import Reading
from orchestrator.adapters.docker_plan import OUT, SHM
from orchestrator.ports import Counted

_PAUSE = 0.004


class HostFootprint:
    """Implements ports.Footprint, for the container of an answer to inspect.

    ``parent`` is the group that was made for it, which counts on when its own is gone; empty where none was.
    """

    def __init__(self, cgroups: Cgroups, reading: Reading, parent: str) -> None:
        self._held: dict[str, int] = {}
        self._full: list[str] = []
        self._cgroups = cgroups
        self._parent = parent
        self._places = cgroups.own(reading["Id"], parent)
        self._own = ""
        self._folders = _folders(reading) if os.geteuid() == 0 else set()

    def __del__(self) -> None:
        """As files do."""
        self.close()

    def look_during(self, start: Callable[[], None]) -> None:
        """Start the container and look for it meanwhile: a program may have ended before the engine says that it began."""
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
        """Hold the folders of the container if it runs; whether they are held, now or before."""
        for process in () if self._held else self._processes():
            opened = _opened(Path(f"/proc/{process}/root"), self._folders)
            if process in self._processes():  # its id is not another's by now
                self._held = opened
                break
            _close(opened.values())
        return bool(self._held)

    def counted(self) -> Counted | None:
        """See ports.Footprint."""
        if self._parent or not self._processes():
            return self._cgroups.count(self._parent) if self._parent else None
        counted = self._cgroups.count(self._own)
        return counted and evolve(counted, source=f"{counted.source}, while it ran")

    def close(self) -> list[str]:
        """See ports.Footprint."""
        while self._held:
            path, descriptor = self._held.popitem()
            if _is_full(descriptor):
                self._full = sorted([*self._full, path])
            os.close(descriptor)
        return self._full

    def _look_until(self, over: threading.Event) -> None:
        while self._folders and not self.look() and not over.wait(_PAUSE):
            pass

    def _processes(self) -> list[int]:
        """The container's, by the ids that this process knows them by."""
        for group, folder in self._places.items():
            with suppress(OSError, ValueError):
                found = [process for process in map(int, (folder / "cgroup.procs").read_text().split()) if process]
                self._own = group
                return found
        return []


def _opened(root: Path, folders: set[str]) -> dict[str, int]:
    """Those of the folders that are mounts; none before the process is in a root of its own, and none that is no folder."""
    opened: dict[str, int] = {}
    with suppress(OSError):
        top = root.stat()
        for folder in () if (top.st_dev, top.st_ino) == _identity("/") else folders:
            with suppress(OSError):
                descriptor = os.open(f"{root}{folder}", os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW)
                if os.fstat(descriptor).st_dev == top.st_dev:
                    os.close(descriptor)
                else:
                    opened[folder] = descriptor
    return opened


def _close(descriptors: Iterable[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def _identity(path: str) -> tuple[int, int]:
    about = os.stat(path)  # noqa: PTH116
    return about.st_dev, about.st_ino


def _folders(reading: Reading) -> set[str]:
    """Its folders of bounded size, but for those on whose way there may be a link of the image's."""
    host = reading.get("HostConfig") or {}
    outs = {OUT for mount in host.get("Mounts") or () if mount["Target"] == OUT}
    return {path for path in host.get("Tmpfs") or () if path.rfind("/") == 0} | outs | {SHM}


def _is_full(folder: int) -> bool:
    """Whether it has no room for a page, or none for a file."""
    room = os.statvfs(folder)
    return bool(room.f_blocks and not room.f_bavail) or bool(room.f_files and not room.f_ffree)
