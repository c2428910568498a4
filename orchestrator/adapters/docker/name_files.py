"""The files with the addresses of localhost and the host name. Without a network the engine makes none.

With the network ``none`` it makes them, but a start takes twice as long. So the engine keeps them in a volume.
"""

import threading

from orchestrator.adapters.docker.client import DockerClient
from orchestrator.adapters.docker.container_config import HOST_NAME, NAME_FILES
from orchestrator.adapters.docker.errors import SERVICE
from orchestrator.adapters.docker.image import Image
from orchestrator.adapters.docker.kept_files import kept_folder
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
_REMOVED = ("does not exist", "no such file or directory")
"""The messages of the engine and of runc for a mount whose source is missing."""


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
                self._folder = kept_folder(self._client, plan, image, VOLUME, NAMES, CONTENT, _MODE)
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
