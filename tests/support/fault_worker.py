"""Forks worker processes that are killed at a named point: ``python -m tests.support.fault_worker``.

Each line on stdin is {"environment": {…}, "log": path} and is answered by the pid of a new worker: the product's own command,
whose ports are wrapped on the way from ``connect``. FAULT_RECORD, FAULT_AT and FAULT_SIGNAL say where and how it ends,
FAULT_MUTANT which guard it lacks. Forking costs less than starting, so that one test can kill dozens. All die with this
process.
"""

import ctypes
import json
import os
import signal
import sys
from pathlib import Path

from attrs import evolve

from orchestrator import tasks
from orchestrator import wiring as connect
from orchestrator.app import Services
from orchestrator.cli.worker import worker_command
from orchestrator.errors import OrchestratorError
from orchestrator.output import artifacts as gather
from orchestrator.output import spool
from orchestrator.settings.settings import Settings
from orchestrator.worker import worker
from tests.support.fault_mutants import MUTANTS
from tests.support.fault_points import Guarded, Points
from tests.support.fault_steps import ports, steps

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Fork a worker for each line."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel buries the children
    for line in sys.stdin:
        wanted = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _become_worker(wanted["environment"], wanted["log"])
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()


def _become_worker(environment: dict[str, str], log: str) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    sink = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(sink, 1)
    os.dup2(sink, 2)
    os.environ.update(environment)
    if "FAULT_MUTANT" in environment:
        MUTANTS[environment["FAULT_MUTANT"]]()
    if "FAULT_RECORD" in environment:
        _set_points(Points(Path(environment["FAULT_RECORD"]), environment.get("FAULT_AT", ""), _signal(environment)))
    try:
        worker_command([])
    except OrchestratorError as error:
        sys.stderr.write(f"{error}\n")
        sys.stderr.flush()
    finally:
        os._exit(70)


def _signal(environment: dict[str, str]) -> int:
    return signal.Signals[environment.get("FAULT_SIGNAL", "SIGKILL")]


def _set_points(points: Points) -> None:
    def guarded(settings: Settings) -> Services:
        services = connect.connect(settings)
        return evolve(services, **{port: Guarded(points, port, getattr(services, port)) for port in ports()})

    tasks.connect = guarded
    for module in (gather, spool):
        module.shutil = Guarded(points, "disk", module.shutil)
    for name, (owner, step) in steps().items():
        method = getattr(owner, step)
        for place in (owner, worker):  # which imports some of them by name
            if getattr(place, step, None) is method:
                setattr(place, step, points.guard(name, method))


if __name__ == "__main__":
    main()
