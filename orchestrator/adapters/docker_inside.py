"""Looks into images: which of their volumes have something in them, and whose home is where. Each image once."""

import io
import tarfile
from collections.abc import Sequence
from contextlib import suppress

from attrs import evolve

from orchestrator.adapters.docker_client import DockerClient
from orchestrator.adapters.docker_image import Image, accounts
from orchestrator.adapters.docker_owned import unstarted
from orchestrator.errors import ContainerMissing
from orchestrator.ports import ContainerPlan

_MOST = 1 << 20
"""Bytes of an archive that are looked at."""
_CHUNK = 1 << 16
_PASSWD = "/etc/passwd"  # noqa: S105
Members = Sequence[tuple[tarfile.TarInfo, bytes]]


class Insides:
    """What is in the images of one engine. Two threads may look at the same image; either will do."""

    def __init__(self, client: DockerClient) -> None:
        self._client = client
        self._known: dict[str, Image] = {}

    def of(self, plan: ContainerPlan, image: Image) -> Image:
        """The plan's image, completed; as it is when it is not there.

        Raises ImageUnavailable, InfrastructureError, and TaskFailure when the engine refuses a container of it.
        """
        if image.id and image.id not in self._known:
            with unstarted(self._client, plan, image) as container:
                filled = frozenset(path for path in image.volumes if self._is_filled(container, path))
                self._known[image.id] = evolve(image, filled=filled, accounts=tuple(accounts(self._passwd(container))))
        known = self._known.get(image.id, image)
        return evolve(image, filled=known.filled, accounts=known.accounts)

    def _is_filled(self, container: str, path: str) -> bool:
        return len(self._members(container, path, 2)) > 1  # the first is the folder itself

    def _passwd(self, container: str) -> str:
        return "".join(content.decode(errors="replace") for _, content in self._members(container, _PASSWD, 1))

    def _members(self, container: str, path: str, count: int) -> Members:
        """The first of an archive, as far as they are near its beginning; none when the image has nothing there."""
        begun = b""
        with suppress(ContainerMissing):
            address, silence = f"/containers/{container}/archive", self._client.timeout
            with self._client.stream("GET", address, silence=silence, params={"path": path}) as response:
                for chunk in response.iter_content(_CHUNK):
                    begun += chunk
                    if len(begun) >= _MOST:
                        break
        return _first(begun, count)


def _first(archive: bytes, count: int) -> Members:
    found: list[tuple[tarfile.TarInfo, bytes]] = []
    with suppress(tarfile.TarError), tarfile.open(fileobj=io.BytesIO(archive), mode="r:") as tar:
        while len(found) < count and (member := tar.next()):
            content = tar.extractfile(member) if member.isreg() else None
            found.append((member, content.read() if content else b""))
    return found
