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
_MADE = 946_684_800  # the year 2000: zip archives know no earlier files than 1980


def fill(client: DockerClient, plan: ContainerPlan, image: Image = UNKNOWN) -> None:
    """Make the volume, or go on with one that was begun, so that it holds the plan's files, if there are any.

    Raises ImageUnavailable, InfrastructureError, and TaskFailure when the engine refuses the plan.
    """
    if not plan.files:
        return
    loader = files_name(plan.name)
    make_beside(client, plan, loader, loader_config(plan, image))  # writing the same files again is harmless
    with translated():
        client.api.put_archive(loader, FILES, archive(plan.files))


def archive(files: Mapping[str, bytes], mode: int = _MODE) -> bytes:
    """A tar of the files and the folders above them, owned by root; everyone may read and execute the files unless told."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for folder in sorted({above for path in files for above in _above(path)}):
            tar.addfile(_entry(folder, tarfile.DIRTYPE))
        for path, content in files.items():
            tar.addfile(_entry(path, tarfile.REGTYPE, len(content), mode=mode), io.BytesIO(content))
    return buffer.getvalue()


def folders(path: str, uid: int, gid: int) -> bytes:
    """A tar of the folder at a relative path and those above it, all of this user."""
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
