"""A Docker engine of the test's own, which may be stopped and killed; the host's engine, which others use, never is."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import closing, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import docker

from orchestrator.embedded import leash
from scripts.engine import answers
from tests.support import pace
from tests.support.containers import IMAGE, library
from tests.support.fault_wait import until

_PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"])
_ALONE = ("unshare", "--net")
"""In a network of its own: an engine without a bridge removes docker0, which is the host's engine's."""


class Dockerd:
    """Runs for the length of a block, with the image that tasks use; everything of it is in a folder of its own."""

    def __init__(self, *flags: str) -> None:
        self._folder, self._flags = Path(tempfile.mkdtemp(prefix="dockerd-")), flags  # short, for the sake of sockets in it
        self.socket = self._folder / "docker.sock"
        self.host = f"unix://{self.socket}"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        with library() as theirs, closing(docker.DockerClient(base_url=self.host, version="1.41")) as ours:
            ours.images.load(b"".join(theirs.images.get(IMAGE).save(named=True)))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.start()
        with closing(docker.DockerClient(base_url=self.host, version="1.41")) as ours:
            for container in ours.containers.list(all=True, ignore_removed=True):
                container.remove(force=True)
        self.stop()
        for mounted in ("data", "exec"):
            subprocess.run(["umount", "-R", "-q", str(self._folder / mounted)], check=False, capture_output=True)
        shutil.rmtree(self._folder, ignore_errors=True)

    def start(self) -> float:
        """Start it unless it runs, and wait until it answers; the monotonic time then."""
        if self._process is None:
            where = [
                f"--{name}={self._folder / path}"
                for name, path in (("data-root", "data"), ("exec-root", "exec"), ("pidfile", "pid"))
            ]
            argv = [
                *_ALONE,
                "dockerd",
                "-H",
                self.host,
                *where,
                "--bridge=none",
                "--iptables=false",
                "--ip6tables=false",
                *self._identity(),
                *self._flags,
            ]
            tied = [sys.executable, "-I", "-S", leash.__file__, str(os.getpid())]
            with (self._folder / "log").open("ab") as log:
                self._process = subprocess.Popen([*tied, *argv], stdout=log, stderr=log, env={**os.environ, "PATH": _PATH})
            until(self._answers)
        return time.monotonic()

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End it by a signal and wait."""
        if self._process:
            self._process.send_signal(number)
            self._process.wait(pace.seconds(60))
            self._process = None
            (self._folder / "pid").unlink(missing_ok=True)
            self._end_containerd()

    def _identity(self) -> list[str]:
        """An id of its own: before version 23 all engines of a host have that of /etc/docker/key.json, but for this setting."""
        said = subprocess.run(["dockerd", "--version"], check=True, capture_output=True, text=True, env={"PATH": _PATH}).stdout
        if int(said.split()[2].partition(".")[0]) >= 23:
            return []
        file = self._folder / "daemon.json"
        file.write_text(json.dumps({"deprecated-key-path": str(self._folder / "key.json")}))
        return [f"--config-file={file}"]

    def _answers(self) -> bool:
        assert self._process
        assert self._process.poll() is None, (self._folder / "log").read_text()[-2000:]
        return answers(self.host) is not None

    def _end_containerd(self) -> None:
        """It dies with an engine that is killed; the next one would wait for it while nobody has buried it."""
        file = self._folder / "exec/containerd/containerd.pid"
        if file.exists():
            with suppress(FileNotFoundError, ProcessLookupError):
                if Path(f"/proc/{file.read_text()}/comm").read_text() == "containerd\n":
                    os.kill(int(file.read_text()), signal.SIGKILL)
            file.unlink(missing_ok=True)
