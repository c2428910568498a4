"""A running `orchestrator up` in a folder of its own, and client commands called in that folder."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from orchestrator.cli.down import READY
from orchestrator.client import Client
from orchestrator.embedded import leash
from orchestrator.settings.environment import DATA, FILE, read
from orchestrator.settings.settings import Settings
from orchestrator.wiring import connect
from tests.support import pace

IMAGE = "orchestrator-busybox:1"
ORCHESTRATOR = (sys.executable, "-m", "orchestrator")
_SERVERS = ("MONGO_URI", "REDIS_URL", "MINIO_ENDPOINT")
PATIENCE = pace.seconds(60)


def call(folder: Path, *arguments: str, stdin: bytes = b"", **environment: str) -> "subprocess.CompletedProcess[bytes]":
    """Call the command line in a folder, without any servers in its environment but those given."""
    return subprocess.run(
        [*ORCHESTRATOR, *arguments],
        cwd=folder,
        env=clean_environment(**environment),
        input=stdin,
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )


def clean_environment(**more: str) -> dict[str, str]:
    """The environment of this process with no servers in it, and more."""
    return {**{name: value for name, value in os.environ.items() if name not in _SERVERS}, **more}


class Up:
    """Started, and ready, when the block is entered; stopped at its end when it still runs."""

    def __init__(self, folder: Path, *arguments: str, **environment: str) -> None:
        self.folder = folder
        tied = (sys.executable, "-I", "-S", leash.__file__, str(os.getpid()))
        self.process = subprocess.Popen(
            [*tied, *ORCHESTRATOR, "up", *arguments],
            cwd=folder,
            env=clean_environment(PULL_POLICY="never", PYTHONUNBUFFERED="1", **environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.said: list[str] = []

    def __enter__(self) -> Self:
        self.hear(READY)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with self.process:
            if self.process.poll() is None:
                self.process.send_signal(signal.SIGTERM)
                self.process.wait(PATIENCE)

    def hear(self, words: str) -> None:
        """Wait for a line with these words in it."""
        assert self.process.stdout
        for line in self.process.stdout:
            self.said.append(line.rstrip())
            if words in line:
                return
        raise AssertionError("\n".join([f"never said {words!r}, but:", *self.said]))

    def end(self) -> int:
        """Hear it to its end; the exit code."""
        assert self.process.stdout
        self.said += self.process.stdout.read().splitlines()
        return self.process.wait(PATIENCE)

    @property
    def variables(self) -> dict[str, str]:
        """What it tells its clients."""
        return read(self.folder / DATA / FILE)

    def pid(self, name: str) -> int:
        """The process id of one of its servers, as it said it last."""
        told = (re.search(rf"\b{name}(?: is process)? (\d+)", line) for line in reversed(self.said))
        return next(int(found[1]) for found in told if found)

    @contextmanager
    def client(self) -> Iterator[Client]:
        """A client of its servers."""
        services = connect(Settings.load(read(self.folder / DATA / FILE)))
        with closing(services.store):
            yield Client(services)

    def __call__(self, *arguments: str, stdin: bytes = b"", **environment: str) -> "subprocess.CompletedProcess[bytes]":
        """Call the command line in its folder."""
        return call(self.folder, *arguments, stdin=stdin, **environment)
