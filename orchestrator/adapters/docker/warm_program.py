"""Where an engine has the program of waiting containers: a volume, from whose folder each gets it by a bind mount.

It is made at its first use and kept, as the names of ``name_files`` are. Its name follows from what is in it, so that workers
of two releases can share an engine.
"""

import hashlib
import io
import tarfile
import threading

from orchestrator.adapters.docker.cleanup import make_volume, unstarted
from orchestrator.adapters.docker.client import DockerClient
from orchestrator.adapters.docker.container_config import FILES, Config
from orchestrator.adapters.docker.errors import SERVICE, translated
from orchestrator.adapters.docker.handover_code import CODE
from orchestrator.adapters.docker.image import Image
from orchestrator.adapters.docker.input_volume import archive
from orchestrator.adapters.docker.pause_program import Program
from orchestrator.errors import InfrastructureError
from orchestrator.ports import ContainerPlan
from orchestrator.task.labels import WARM

TARGET = "/orchestrator-handover"
_PROGRAM = Program(CODE)
_FILE = "handover"
_DRIVER = "local"


class WarmProgram:
    """The program of one engine."""

    def __init__(self, client: DockerClient) -> None:
        self._client = client
        self._folder = ""
        self._making = threading.Lock()

    def mount(self, plan: ContainerPlan, image: Image) -> Config:
        """The mount for a container. The first call fills the volume through a container of the plan's image.

        Raises the same as ``unstarted``, and InfrastructureError on a machine without such a program or if the volume is not
        this package's.
        """
        with self._making:
            self._folder = self._folder or self._filled(plan, image)
        return {"Type": "bind", "Source": f"{self._folder}/{_FILE}", "Target": TARGET, "ReadOnly": True}

    def forget(self) -> None:
        """Somebody may have removed the volume: look again."""
        self._folder = ""

    def _filled(self, plan: ContainerPlan, image: Image) -> str:
        architecture = self._client.facts.architecture
        if not _PROGRAM.runs_on(architecture):
            raise InfrastructureError(SERVICE, f"containers cannot wait on {architecture}, only on {', '.join(CODE)}")
        program = _PROGRAM.elf(architecture)
        name = f"{WARM.replace('.', '-')}-{hashlib.sha256(program).hexdigest()[:16]}"
        mount = {
            "Type": "volume",
            "Source": name,
            "Target": FILES,
            "VolumeOptions": {"NoCopy": True, "Labels": {WARM: name}},
        }
        reading = make_volume(self._client, mount)
        if ((reading["Labels"] or {}).get(WARM), reading["Driver"], reading["Options"] or {}) != (name, _DRIVER, {}):
            raise InfrastructureError(SERVICE, f"the volume {name} is not as a worker makes it: remove it")
        with unstarted(self._client, plan, image, [mount]) as container, translated():
            if self._content(container) != {_FILE: program}:
                self._client.api.put_archive(container, FILES, archive({_FILE: program}))
        return str(reading["Mountpoint"])

    def _content(self, container: str) -> dict[str, bytes]:
        packed = b"".join(self._client.api.get_archive(container, FILES)[0])
        with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
            files = {member.name.rpartition("/")[2]: tar.extractfile(member) for member in tar if member.isreg()}
            return {name: file.read() for name, file in files.items() if file}
