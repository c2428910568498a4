"""Starts, awaits and stops one server as a child process. Knows nothing of the server's purpose."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from attrs import field, frozen

from orchestrator import private_files as private
from orchestrator.embedded import home, leash
from orchestrator.errors import InfrastructureError


@frozen
class Server:
    """How to run a server in its folder.

    ``ready`` says whether it can be used. ``settings`` are the environment variables for its clients. ``stdin`` has secrets,
    which a list of processes must not show. ``files`` are texts by their name in its folder. ``litter`` are the files that it
    leaves outside its folder. On a new folder, ``first`` must be ready once before the server itself is started. ``fds`` are
    descriptors that it inherits.
    """

    name: str
    argv: tuple[str, ...]
    ready: Callable[[], bool]
    settings: Mapping[str, str] = field(factory=dict)
    env: Mapping[str, str] = field(factory=dict)
    stdin: str = ""
    files: Mapping[str, str] = field(factory=dict)
    litter: tuple[Path, ...] = ()
    first: "Server | None" = None
    fds: tuple[int, ...] = ()


class Process:
    """A server that runs in ``folder`` and logs beside it.

    It dies with the thread that starts it, and ``lock`` is then free.
    """

    def __init__(self, server: Server, folder: Path, lock: int) -> None:
        self._server = server
        self._folder = folder
        self._log = folder.with_name(f"{server.name}.log")
        self._lock = lock
        self._child: subprocess.Popen[str] | None = None

    @property
    def pid(self) -> int | None:
        """The process id, or None if it does not run."""
        return self._child.pid if self._child and self._child.poll() is None else None

    def start(self) -> None:
        """Start it in a separate session, so that Ctrl-C in a terminal does not reach it."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        self._folder.chmod(0o700)
        for name, text in self._server.files.items():
            _write(self._folder / name, text)
        with home.written(self._log) as log:
            self._child = subprocess.Popen(  # noqa: S603
                [sys.executable, "-I", "-S", leash.__file__, str(os.getpid()), *self._server.argv],
                cwd=self._folder,
                env={"PATH": os.environ.get("PATH", os.defpath), "HOME": str(self._folder), **self._server.env},
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
                pass_fds=(self._lock, *self._server.fds),
            )
        if self._child.stdin:
            with suppress(BrokenPipeError), self._child.stdin as stdin:  # its log says why it ended
                stdin.write(self._server.stdin)

    def start_again(self) -> None:
        """Start it after it has ended by itself."""
        self._clear()
        self.start()

    def await_ready(self, patience: float) -> None:
        """Wait until it can be used. Raises InfrastructureError if it ends, or is not ready within ``patience`` seconds."""
        deadline = time.monotonic() + patience
        while not self._server.ready():
            if self.pid is None:
                raise InfrastructureError(self._server.name, f"{self._ending()} before it could be used; {self._last_words()}")
            if time.monotonic() > deadline:
                reason = f"did not start: it runs, but could not be used within {patience:g} s; {self._last_words()}"
                raise InfrastructureError(self._server.name, reason)
            time.sleep(0.02)

    def ask_to_stop(self) -> None:
        """Send TERM. Does nothing if it does not run."""
        if self._child is not None:
            self._child.terminate()

    def stop(self, grace: float) -> None:
        """Send TERM, and KILL after ``grace`` seconds; 0 kills at once. Does nothing if it does not run."""
        if self._child is None:
            return
        if grace:
            self.ask_to_stop()
        with suppress(subprocess.TimeoutExpired):
            self._child.wait(grace)
        self._child.kill()
        self._child.wait()
        self._clear()

    def _clear(self) -> None:
        for path in self._server.litter:
            path.unlink(missing_ok=True)

    def _ending(self) -> str:
        """How it ended, as a verb."""
        code = self._child.returncode if self._child else 0
        return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"

    def _last_words(self) -> str:
        lines = self._log.read_text(errors="replace").splitlines()[-_TAIL:]
        return "\n".join([f"the end of {self._log}:", *lines]) if lines else f"its log {self._log} is empty"


def _write(path: Path, text: str) -> None:
    """Only this user can read it, also if the file was there before: some files have keys."""
    path.touch(mode=0o600)
    path.chmod(0o600)
    with private.named(path):
        path.write_text(text)


_TAIL = 20
