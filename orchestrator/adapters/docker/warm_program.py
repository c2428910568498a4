"""Where an engine has the program of waiting containers: in a volume, from whose folder each gets it by a bind mount.

It is made at its first use and kept. Its name follows from what is in it, so that workers of two releases can share an
engine.
"""

import hashlib
import threading

from orchestrator.adapters.docker.client import DockerClient
from orchestrator.adapters.docker.container_config import Config
from orchestrator.adapters.docker.errors import SERVICE
from orchestrator.adapters.docker.handover_code import CODE
from orchestrator.adapters.docker.image import Image
from orchestrator.adapters.docker.kept_files import kept_folder
from orchestrator.adapters.docker.pause_program import Program
from orchestrator.errors import InfrastructureError
from orchestrator.ports import ContainerPlan
from orchestrator.task.labels import WARM

TARGET = "/orchestrator-handover"
_PROGRAM = Program(CODE)
_FILE, _MODE = "handover", 0o555


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
        return kept_folder(self._client, plan, image, name, WARM, {_FILE: program}, _MODE)
