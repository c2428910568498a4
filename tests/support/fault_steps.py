"""What is a kill point, taken from the code by name: the calls of ports, steps on the spool, and on RQ's records."""

import inspect

from attrs import fields

from orchestrator.app import Services
from orchestrator.output.ring_file import Tail
from orchestrator.output.spool import Spool
from orchestrator.worker import rq_maintenance as worker_upkeep
from orchestrator.worker.rq_maintenance import Rescue
from orchestrator.worker.rq_records import Bookkeeper
from orchestrator.worker.worker import ThreadWorker

LOOP = {
    "run": "the loop itself",
    "request_stop": "a signal handler: it notes a time in memory, and a point takes a lock",
    "_turn": "its calls are points",
    "_enter": "it counts in memory",
    "_leave": "the same",
    "_take": "it takes an entry, and rq._fetch is the first call after that",
    "_look_further": "what it moves is on its way to the worker then, and the next call is rq._fetch",
    "_hash_of": "it reads; rq._fetch is the point before it",
    "_perform": "its calls are points",
    "_drain": "it waits",
    "_do_chores": "the chores are points",
}
"""Methods of the worker's loop that are no points, and why."""


def ports() -> dict[str, type]:
    """The ports among the fields of Services, by name."""
    return {each.name: each.type for each in fields(Services) if each.type and getattr(each.type, "_is_protocol", False)}


def steps() -> dict[str, tuple[object, str]]:
    """Name of the point → whose attribute it is, and which."""
    spooled = {f"{name}.{step}": (kind, step) for name, kind in (("spool", Spool), ("tail", Tail)) for step in _public(kind)}
    noted = {f"rq.{step}": (kind, step) for kind in (Bookkeeper, Rescue) for step in _own(kind)}
    upkeep = {f"rq.{step}": (worker_upkeep, step) for step in _functions()}
    looped = {f"rq.{step}": (ThreadWorker, step) for step in loop_steps() if step not in LOOP}
    return {**spooled, **noted, **upkeep, **looped}


def loop_steps() -> list[str]:
    """The methods of the worker's loop."""
    return _own(ThreadWorker)


def _public(kind: type) -> list[str]:
    return [name for name in _own(kind) if not name.startswith("_")]


def _own(kind: type) -> list[str]:
    return [name for name, value in vars(kind).items() if inspect.isfunction(value) and not name.startswith("__")]


def _functions() -> list[str]:
    """Of the module, without what it imports."""
    found = inspect.getmembers(worker_upkeep, inspect.isfunction)
    return [name for name, function in found if function.__module__ == worker_upkeep.__name__]
