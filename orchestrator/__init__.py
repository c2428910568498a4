"""Worker service: takes tasks from a queue and runs each in an isolated container.

``Client`` is for programs that submit tasks. It and what it yields are imported on first use, with the libraries of servers, so
that a program that imports only a part of the package does not wait for them. The command line's help is one.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.async_client import AsyncClient
    from orchestrator.client import Client
    from orchestrator.outcome.series import Series
    from orchestrator.outcome.stats import Stats
    from orchestrator.output.following import Missed
    from orchestrator.ports import Piece, Point, Stream
    from orchestrator.task.event import Event
else:  # out of sight of type checkers, for which it would make any name one of this package
    _PLACES = {
        "AsyncClient": "async_client",
        "Client": "client",
        "Event": "task.event",
        "Missed": "output.following",
        "Piece": "ports",
        "Point": "ports",
        "Series": "outcome.series",
        "Stats": "outcome.stats",
        "Stream": "ports",
    }

    def __getattr__(name: str) -> object:
        if name not in _PLACES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)


__all__ = ["AsyncClient", "Client", "Event", "Missed", "Piece", "Point", "Series", "Stats", "Stream"]
