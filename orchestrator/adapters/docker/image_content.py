"""Reads the content of images, each image once: the bytes in each of their volumes, and the homes of users."""

import io
import tarfile
from collections.abc import Generator
from contextlib import closing, suppress
from itertools import islice

from attrs import evolve

from orchestrator.adapters.docker.cleanup import unstarted
from orchestrator.adapters.docker.client import DockerClient
from orchestrator.adapters.docker.container_config import kept_sizes
from orchestrator.adapters.docker.image import Image, accounts
from orchestrator.adapters.docker.recent import Recent
from orchestrator.cause import Cause
from orchestrator.errors import ContainerMissing, TaskFailure
from orchestrator.ports import ContainerPlan

_IMAGES = 64
"""The content of so many images is remembered; another one is read again. Its owner may have filled /etc/passwd."""
_ACCOUNTS = 4096
"""The accounts that are known of an image, from its first on."""
_MOST = 1 << 20
"""Bytes of an archive that are read."""
VOLUMES_MOST = 1 << 30
"""The most bytes in the volumes of an image. They are copied for each task on the host's disk."""
_CHUNK = 1 << 16
_PASSWD = "/etc/passwd"  # noqa: S105


class Insides:
    """The content of the images of one engine. Two threads may read the same image; both results are equal."""

    def __init__(self, client: DockerClient) -> None:
        self._client = client
        self._known = Recent[Image](_IMAGES)

    def of(self, plan: ContainerPlan, image: Image) -> Image:
        """The plan's image with its content; unchanged if the engine does not have it.

        Raises ImageUnavailable, InfrastructureError, and TaskFailure if the engine refuses a container of it.
        """
        known = self._known.get(image.id)
        if image.id and known is None:
            with unstarted(self._client, plan, image) as container:
                sizes = {path: self._volume(container, path) for path in image.volumes}
                filled = {path: size for path, size in sizes.items() if size}
                found = tuple(islice(accounts(self._passwd(container)), _ACCOUNTS))
                known = self._known.put(image.id, evolve(image, filled=filled, accounts=found))
        return evolve(image, filled=known.filled, accounts=known.accounts) if known else image

    def _volume(self, container: str, path: str) -> int:
        """The size of an archive of a volume of the image, in bytes; 0 for an empty one. Reading stops after VOLUMES_MOST."""
        begun, size = b"", 0
        with closing(self._archive(container, path)) as chunks:
            for chunk in chunks:
                begun += chunk if size < _MOST else b""
                size += len(chunk)
                if size > VOLUMES_MOST:
                    break
        return size if _has_more_than_a_folder(begun) else 0

    def _passwd(self, container: str) -> str:
        begun = b""
        with closing(self._archive(container, _PASSWD)) as chunks:
            while len(begun) < _MOST and (chunk := next(chunks, b"")):
                begun += chunk
        return _first_file(begun).decode(errors="replace")

    def _archive(self, container: str, path: str) -> Generator[bytes]:
        """The archive of a path; empty if the image has no such path."""
        address, silence = f"/containers/{container}/archive", self._client.timeout
        with (
            suppress(ContainerMissing),
            self._client.stream("GET", address, silence=silence, params={"path": path}) as response,
        ):
            yield from response.iter_content(_CHUNK)


def expect_bounded(plan: ContainerPlan, image: Image) -> None:
    """Raise TaskFailure (invalid) if the content of the image's volumes is too large for a copy."""
    sizes = kept_sizes(plan, image)
    if sum(sizes.values()) > VOLUMES_MOST:
        raise TaskFailure(
            Cause.INVALID,
            f"image {plan.image!r} has more than {VOLUMES_MOST} bytes in its volumes ({', '.join(sizes)}),"
            " of which each task would get a copy on the host's disk",
        )


def _has_more_than_a_folder(begun: bytes) -> bool:
    """Whether an archive, which may be cut, begins with two members. The first is the folder itself."""
    with suppress(tarfile.TarError), _opened(begun) as tar:
        return None not in {tar.next(), tar.next()}
    return False


def _first_file(begun: bytes) -> bytes:
    with suppress(tarfile.TarError), _opened(begun) as tar:
        member = tar.next()
        content = tar.extractfile(member) if member and member.isreg() else None
        return content.read() if content else b""
    return b""


def _opened(begun: bytes) -> tarfile.TarFile:
    return tarfile.open(fileobj=io.BytesIO(begun), mode="r:")
