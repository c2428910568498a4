"""What is a kill point beside the ports, taken from the code by name: steps on the spool, and on RQ's records."""

import inspect

from orchestrator import worker_upkeep
from orchestrator.spool import Spool
from orchestrator.tail import Tail
from orchestrator.worker import ThreadWorker
from orchestrator.worker_books import Bookkeeper
from orchestrator.worker_upkeep import Rescue


def steps() -> dict[str, tuple[object, str]]:
    """Name of the point → whose attribute it is, and which."""
    spooled = {f"{name}.{step}": (kind, step) for name, kind in (("spool", Spool), ("tail", Tail)) for step in _public(kind)}
    noted = {f"rq.{step}": (kind, step) for kind in (Bookkeeper, Rescue) for step in _own(kind)}
    upkeep = {f"rq.{step}": (worker_upkeep, step) for step in _functions()}
    return {**spooled, **noted, **upkeep, "rq._fetch": (ThreadWorker, "_fetch")}


def _public(kind: type) -> list[str]:
    return [name for name in _own(kind) if not name.startswith("_")]


def _own(kind: type) -> list[str]:
    return [name for name, value in vars(kind).items() if inspect.isfunction(value) and not name.startswith("__")]


def _functions() -> list[str]:
    """Of the module, without what it imports."""
    found = inspect.getmembers(worker_upkeep, inspect.isfunction)
    return [name for name, function in found if function.__module__ == worker_upkeep.__name__]
