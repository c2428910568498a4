"""The files with the addresses of localhost and the host name. Without a network the engine makes none.

With the network ``none`` it makes them, but a start takes twice as long. So one volume of the engine has them for all
containers. Each container gets them by a bind mount, because not every engine can mount a single file of a volume.
"""

import io
import tarfile
import threading
from collections.abc import Mapping
from typing import Any

from orchestrator.adapters.docker.cleanup import make_volume, unstarted
from orchestrator.adapters.docker.client import DockerClient
from orchestrator.adapters.docker.container_config import FILES, HOST_NAME, NAME_FILES
from orchestrator.adapters.docker.errors import SERVICE, translated
from orchestrator.adapters.docker.image import Image
from orchestrator.adapters.docker.input_volume import archive
from orchestrator.errors import InfrastructureError, OrchestratorError
from orchestrator.ports import ContainerPlan
from orchestrator.task.labels import NAMES

VOLUME = "orchestrator-names"
_HOSTS = f"""\
127.0.0.1	localhost {HOST_NAME}
::1	localhost ip6-localhost ip6-loopback
fe00::0	ip6-localnet
ff00::0	ip6-mcastprefix
ff02::1	ip6-allnodes
ff02::2	ip6-allrouters
"""
_RESOLVER = """\
nameserver 127.0.0.1
options timeout:1 attempts:1
"""
CONTENT = dict(zip(NAME_FILES, (_HOSTS.encode(), f"{HOST_NAME}\n".encode(), _RESOLVER.encode()), strict=True))
_MODE = 0o644
_DRIVER = "local"
_REMOVED = ("does not exist", "no such file or directory")
"""The messages of the engine and of runc for a mount whose source is missing."""
_MOUNT = {
    "Type": "volume",
    "Source": VOLUME,
    "Target": FILES,
    "VolumeOptions": {"NoCopy": True, "Labels": {NAMES: VOLUME}},
}


class Names:
    """The folder of one engine's host that has the files. Like the network, it is made at its first use and kept."""

    def __init__(self, client: DockerClient) -> None:
        self._client = client
        self._folder = ""
        self._there = False
        self._making = threading.Lock()

    def folder(self, plan: ContainerPlan, image: Image) -> str:
        """The path of the folder. The first call fills it through a container of the plan's image, with the plan's labels.

        Empty if the engine does not have the image. Raises the same as ``unstarted``, and InfrastructureError if the volume is
        not this package's.
        """
        with self._making:
            if image.id and not self._there:
                self._folder = self._filled(plan, image)
                self._there = True
            return self._folder if image.id else ""

    def expect_there(self, error: OrchestratorError) -> None:
        """Raise InfrastructureError if a refusal of the engine says that the folder was removed.

        The next call makes it again.
        """
        text = str(error)
        if self._folder and self._folder in text and any(phrase in text for phrase in _REMOVED):
            self._there = False
            raise InfrastructureError(SERVICE, f"the volume of host names was removed: {error}") from error

    def _filled(self, plan: ContainerPlan, image: Image) -> str:
        """Write only missing files: other containers may be about to mount them."""
        reading = make_volume(self._client, _MOUNT)
        _expect_own(reading)  # before the engine mounts it
        with unstarted(self._client, plan, image, [_MOUNT]) as container, translated():
            if self._content(container) != CONTENT:
                self._client.api.put_archive(container, FILES, archive(CONTENT, _MODE))
            return str(reading["Mountpoint"])

    def _content(self, container: str) -> dict[str, bytes]:
        packed = b"".join(self._client.api.get_archive(container, FILES)[0])
        with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
            files = {member.name.rpartition("/")[2]: tar.extractfile(member) for member in tar if member.isreg()}
            return {name: file.read() for name, file in files.items() if file}


def _expect_own(reading: Mapping[str, Any]) -> None:
    """Raise InfrastructureError unless the volume is as this module makes it: all tasks would see the files of another one."""
    label, driver, options = (reading["Labels"] or {}).get(NAMES), reading["Driver"], reading["Options"] or {}
    if (label, driver, options) != (VOLUME, _DRIVER, {}):
        given = f"label {NAMES}={label}, driver {driver} and options {', '.join(sorted(options)) or 'none'}"
        made = f"label {NAMES}={VOLUME}, driver {_DRIVER} and no options"
        raise InfrastructureError(SERVICE, f"the volume {VOLUME} has {given} instead of {made}: remove it")
