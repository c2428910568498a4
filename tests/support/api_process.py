"""An `orchestrator serve` process on real servers, which a test may kill, and clients of it."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import httpx

from orchestrator.embedded.ports import choose_ports
from tests.support import pace
from tests.support.worker_process import until


class ApiProcess:
    """Started, and ready, when the block is entered; it has the same port each time that it is started."""

    def __init__(self, environment: Mapping[str, str], folder: Path) -> None:
        (self.port,) = choose_ports(1)
        self.url = f"http://127.0.0.1:{self.port}"
        self._environment = {**os.environ, **environment, "API_PORT": str(self.port)}
        self._log = folder / "serve.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        with self._log.open("ab") as log:
            argv = [sys.executable, "-m", "orchestrator", "--no-env-file", "serve"]
            self._process = subprocess.Popen(argv, env=self._environment, stdout=log, stderr=log)
        until(self._answers, pace.seconds(60))

    def kill(self) -> None:
        """With SIGKILL."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """With SIGTERM; the exit code."""
        return self._end(signal.SIGTERM)

    def client(self, **more: Any) -> httpx.Client:
        """A client of it."""
        return httpx.Client(base_url=self.url, timeout=pace.seconds(60), **more)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self.kill()

    def _end(self, number: signal.Signals) -> int:
        assert self._process
        self._process.send_signal(number)
        return self._process.wait(pace.seconds(60))

    def _answers(self) -> bool:
        assert self._process
        assert self._process.poll() is None, self._log.read_text()
        try:
            return httpx.get(f"{self.url}/readyz").status_code == 200
        except httpx.TransportError:
            return False
