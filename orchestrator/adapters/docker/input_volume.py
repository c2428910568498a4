"""The files of a task: a volume, filled through a container that is never started."""

import io
import tarfile
from collections.abc import Mapping

from orchestrator.adapters.docker.cleanup import make_beside
from orchestrator.adapters.docker.client import DockerClient
from orchestrator.adapters.docker.container_config import FILES, files_name, loader_config
from orchestrator.adapters.docker.errors import translated
from orchestrator.adapters.docker.image import UNKNOWN, Image
from orchestrator.ports import ContainerPlan

_MODE, _OWN_MODE = 0o555, 0o755
_MADE = 946_684_800  # the year 2000: zip archives cannot hold times before 1980


def fill(client: DockerClient, plan: ContainerPlan, image: Image = UNKNOWN) -> None:
    """Make the volume with the plan's files, or complete an unfinished one; nothing if the plan has no files.

    Raises ImageUnavailable, InfrastructureError, and TaskFailure if the engine refuses the plan.
    """
    if not plan.files:
        return
    loader = files_name(plan.name)
    make_beside(client, plan, loader, loader_config(plan, image))  # writing the same files again is harmless
    with translated():
        client.api.put_archive(loader, FILES, archive(plan.files))


def archive(files: Mapping[str, bytes], mode: int = _MODE) -> bytes:
    """A tar of the files and the folders above them, owned by root. By default every user may read and execute the files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for folder in sorted({above for path in files for above in _above(path)}):
            tar.addfile(_entry(folder, tarfile.DIRTYPE))
        for path, content in files.items():
            tar.addfile(_entry(path, tarfile.REGTYPE, len(content), mode=mode), io.BytesIO(content))
    return buffer.getvalue()


def folders(path: str, uid: int, gid: int) -> bytes:
    """A tar of the folder at a relative path and the folders above it, all owned by this user."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for folder in [*_above(path), path]:
            entry = _entry(folder, tarfile.DIRTYPE, mode=_OWN_MODE)
            entry.uid, entry.gid = uid, gid
            tar.addfile(entry)
    return buffer.getvalue()


def _above(path: str) -> list[str]:
    parts = path.split("/")[:-1]
    return ["/".join(parts[: end + 1]) for end in range(len(parts))]


def _entry(path: str, kind: bytes, size: int = 0, mode: int = _MODE) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(path)
    entry.type, entry.size, entry.mode, entry.mtime = kind, size, mode, _MADE
    return entry
