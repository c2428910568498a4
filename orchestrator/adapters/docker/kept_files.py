"""Files of this package that an engine keeps for all containers, in one volume. Each gets them by bind mounts of its folder.

Not every engine can mount a single file of a volume.
"""

import io
import tarfile
from collections.abc import Mapping
from typing import Any

from orchestrator.adapters.docker.cleanup import make_volume, unstarted
from orchestrator.adapters.docker.client import DockerClient
from orchestrator.adapters.docker.container_config import FILES
from orchestrator.adapters.docker.errors import SERVICE, translated
from orchestrator.adapters.docker.image import Image
from orchestrator.adapters.docker.input_volume import archive
from orchestrator.errors import InfrastructureError
from orchestrator.ports import ContainerPlan

_DRIVER = "local"


def kept_folder(
    client: DockerClient, plan: ContainerPlan, image: Image, volume: str, label: str, content: Mapping[str, bytes], mode: int
) -> str:
    """The folder, on the engine's host, of the volume with these files. It is filled through a container of the plan's image.

    The ``label`` of the volume has its name. Only missing files are written: other containers may be about to mount them.
    Raises the same as ``unstarted``, and InfrastructureError if the volume is not this package's.
    """
    mount = {
        "Type": "volume",
        "Source": volume,
        "Target": FILES,
        "VolumeOptions": {"NoCopy": True, "Labels": {label: volume}},
    }
    reading = make_volume(client, mount)
    _expect_own(reading, volume, label)  # before the engine mounts it
    with unstarted(client, plan, image, [mount]) as container, translated():
        if _content(client, container) != content:
            client.api.put_archive(container, FILES, archive(content, mode))
        return str(reading["Mountpoint"])


def _expect_own(reading: Mapping[str, Any], volume: str, label: str) -> None:
    """Raise InfrastructureError unless the volume is as this module makes it: all tasks would see the files of another one."""
    found, driver, options = (reading["Labels"] or {}).get(label), reading["Driver"], reading["Options"] or {}
    if (found, driver, options) != (volume, _DRIVER, {}):
        given = f"label {label}={found}, driver {driver} and options {', '.join(sorted(options)) or 'none'}"
        made = f"label {label}={volume}, driver {_DRIVER} and no options"
        raise InfrastructureError(SERVICE, f"the volume {volume} has {given} instead of {made}: remove it")


def _content(client: DockerClient, container: str) -> dict[str, bytes]:
    packed = b"".join(client.api.get_archive(container, FILES)[0])
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        files = {member.name.rpartition("/")[2]: tar.extractfile(member) for member in tar if member.isreg()}
        return {name: file.read() for name, file in files.items() if file}
