"""Images for the programs of `make programs`, made of Debian's packages on top of the image that the tests use."""

import re
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import docker
from docker.errors import APIError, BuildError

from scripts.packages import NotReady
from scripts.program_runs import last_line
from scripts.program_table import Program

BASE = "orchestrator-python:1"
_INSTALL = (
    "mkdir -p /usr/share/man/man1 && apt-get -qq update && DEBIAN_FRONTEND=noninteractive "  # Java's packages want that folder
    "apt-get -qq -y install --no-install-recommends {} && apt-get clean && rm -rf /var/lib/apt/lists/*"
)


def make(client: docker.DockerClient, program: Program) -> int:
    """Have the engine build the image, on the network of its host; its size in bytes. Raises NotReady with the reason.

    The engine keeps the layer with the packages, so that the next time takes no network.
    """
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "program").mkdir()
        for name, text in program.files.items():
            (Path(folder) / "program" / name).write_text(text, encoding="utf-8")
        (Path(folder) / "Dockerfile").write_text(dockerfile(program), encoding="utf-8")
        try:
            client.images.build(path=folder, tag=program.image, network_mode="host", rm=True, forcerm=True)
        except BuildError as error:
            raise NotReady(f"the engine cannot build its image: {said_last(error.build_log)}") from None
        except APIError as error:
            raise NotReady(f"the engine cannot build its image: {error.explanation or error}") from None
    return int(client.images.get(program.image).attrs["Size"])


def dockerfile(program: Program) -> str:
    """Packages first: they are the same more often than the program."""
    install = [f"RUN {_INSTALL.format(' '.join(program.packages))}"] if program.packages else []
    return "\n".join([f"FROM {BASE}", *install, "COPY program /program", ""])


def said_last(log: Iterable[Mapping[str, object]]) -> str:
    """The last line that a step of the build wrote, without its colours: the error itself names only the command."""
    return last_line(re.sub(r"\x1b\[\d*m", "", "".join(str(part.get("stream", "")) for part in log)))
