"""The command line on services in memory, where a task is run as soon as it is put in line."""

import threading
from pathlib import Path

from attrs import evolve
from click.testing import CliRunner, Result

from orchestrator.cli import main
from orchestrator.client import Client
from orchestrator.execution.runner import Runner
from orchestrator.ports import JobInfo, WorkerRecord
from orchestrator.testing.programs import Program
from tests.support.world import World


class _AtOnce:
    """A queue whose every entry is run in a thread of its own."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._threads: list[threading.Thread] = []

    def enqueue(self, task_id: str, _: JobInfo) -> None:
        self._threads.append(threading.Thread(target=self._runner.run, args=(task_id,), daemon=True))
        self._threads[-1].start()

    def join(self) -> None:
        """Wait for what a worker still stores when it has announced the end."""
        for thread in self._threads:
            thread.join()

    def workers(self) -> int:
        return 1

    def records(self) -> list[WorkerRecord]:
        return []


class CommandLine:
    """A world with programs by their command, and `orchestrator` to be called in it."""

    def __init__(self, folder: Path, programs: dict[tuple[str, ...], Program] | None = None, *, worker: bool = True) -> None:
        self.world = World(folder, programs)
        self._line = _AtOnce(self.world.worker())
        self.client = Client(evolve(self.world.services, queue=self._line) if worker else self.world.services)

    def __call__(self, *arguments: str, stdin: bytes = b"") -> Result:
        """Call it; what it raises beyond its exit code is raised here."""
        return CliRunner().invoke(main, arguments, obj=self.client, input=stdin, catch_exceptions=False)

    def settle(self) -> None:
        """Wait until no document changes any more."""
        self._line.join()
