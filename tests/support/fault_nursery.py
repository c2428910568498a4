"""Worker processes of a test: forked with kill points, looked at, ended."""

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from attrs import field, frozen

from orchestrator.embedded import leash
from tests.support.fault_wait import PATIENCE, until


@frozen
class Child:
    """One worker process: its log, and the points that it has reached."""

    pid: int
    name: str
    log: Path
    record: Path
    fd: int
    """Stands for the process itself: its number may be another's once it has died, and soon is where many are started."""

    @property
    def alive(self) -> bool:
        """Whether the process is there."""
        over = select.poll()
        over.register(self.fd, select.POLLIN)
        return not over.poll(0)

    @property
    def stopped(self) -> bool:
        """Whether it is frozen by SIGSTOP."""
        return self.alive and Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"

    def points(self) -> list[tuple[float, str]]:
        """(monotonic time, point) in the order in which they were reached."""
        text = self.record.read_text() if self.record.exists() else ""
        lines = [line.split(" ", 1) for line in text.splitlines(keepends=True) if line.endswith("\n")]
        return [(float(at), point.rstrip()) for at, point in lines]

    def signal(self, number: int) -> float:
        """Send a signal; the monotonic time."""
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.fd, number)
        return time.monotonic()

    def dead(self, within: float = PATIENCE) -> None:
        """Wait until the process is gone."""
        until(lambda: not self.alive, within)

    def says(self, words: str, within: float = PATIENCE) -> None:
        """Wait until a line of its log has these words."""
        until(lambda: words in self.said(), within)

    def said(self) -> str:
        """Its log so far."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""


@frozen
class Nursery:
    """Forks workers; those that are left at the end of the block are killed."""

    folder: Path
    mother: "subprocess.Popen[str]"
    children: list[Child] = field(factory=list)

    @classmethod
    def start(cls, folder: Path, environment: Mapping[str, str] | None = None) -> Self:
        """Start the process that forks; ``environment`` is for what has to be there from its first moment."""
        folder.mkdir(parents=True, exist_ok=True)
        env = {**os.environ, **(environment or {})}
        tied = (sys.executable, "-I", "-S", leash.__file__, str(os.getpid()))
        argv = (*tied, sys.executable, "-m", "tests.support.fault_worker")
        return cls(folder, subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env))

    def fork(self, environment: Mapping[str, str], name: str, at: str = "", with_signal: str = "SIGKILL") -> Child:
        """A worker that gets a signal at a point; without one it lives on."""
        number = len(self.children)
        log, record = self.folder / f"{number}-{name}.log", self.folder / f"{number}-{name}.points"
        faults = {"FAULT_RECORD": str(record), "FAULT_AT": at, "FAULT_SIGNAL": with_signal, "WORKER_NAME": name}
        wanted = json.dumps({"environment": {**environment, **faults}, "log": str(log)})
        assert self.mother.stdin
        assert self.mother.stdout
        self.mother.stdin.write(wanted + "\n")
        self.mother.stdin.flush()
        pid = int(self.mother.stdout.readline())
        child = Child(pid, name, log, record, os.pidfd_open(pid))
        self.children.append(child)
        return child

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for child in self.children:
            child.signal(signal.SIGKILL)
        for child in self.children:
            child.dead()
            os.close(child.fd)
        with self.mother:
            pass
