"""A real registry (Debian's docker-registry) on loopback, where engines ask without TLS, with an image nobody else has."""

import os
import socket
import subprocess
import sys
import tarfile
import uuid
from contextlib import closing
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import Self

from orchestrator.embedded import leash
from scripts.packages import read
from tests.support.containers import library
from tests.support.fault_wait import until

_CONFIG = """version: 0.1
log: {{level: warn, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {root}}}, delete: {{enabled: true}}}}
http: {{addr: 127.0.0.1:{port}}}
"""


class Registry:
    """Runs for the length of a block; what was pulled from it is removed from the engine at the end."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._names: list[str] = []

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True)
        program = self._folder / "docker-registry"
        program.write_bytes(read("docker-registry", "bin/docker-registry"))
        program.chmod(0o755)
        (self._folder / "config.yml").write_text(_CONFIG.format(root=self._folder / "data", port=self.port))
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()
        with library() as client:
            for name in self._names:
                if client.images.list(name=name):
                    client.images.remove(name, force=True)

    def start(self) -> None:
        """Start it and wait until it listens."""
        tied = [sys.executable, "-I", "-S", leash.__file__, str(os.getpid())]
        argv = [str(self._folder / "docker-registry"), "serve", str(self._folder / "config.yml")]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen([*tied, *argv], stdout=log, stderr=log)
        until(self._listens)

    def stop(self) -> None:
        """Kill it."""
        self._process.kill()
        self._process.wait()

    def image(self, source: str, port: int) -> str:
        """Push an image with a layer of its own, made from ``source``; its name by way of ``port``, gone from the engine."""
        name = f"{uuid.uuid4().hex[:12]}"
        pushed, asked = f"127.0.0.1:{self.port}/{name}:1", f"127.0.0.1:{port}/{name}:1"
        self._names += [pushed, asked]
        with library() as client:
            container = client.containers.create(source, "true", network_disabled=True)
            try:
                container.put_archive("/", _random_file())
                container.commit(*pushed.rsplit(":", 1))
            finally:
                container.remove()
            for line in client.api.push(pushed, stream=True, decode=True):
                assert "error" not in line, line
            client.images.remove(pushed, force=True)
        return asked

    def _listens(self) -> bool:
        with closing(socket.socket()) as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


def _random_file() -> bytes:
    content = BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        entry = tarfile.TarInfo("ballast")
        entry.size = 3 << 20
        tar.addfile(entry, BytesIO(os.urandom(entry.size)))
    return content.getvalue()
