"""Worker service: takes tasks from a queue and runs each in an isolated container.

``Client`` is for programs that submit tasks. It is imported on first use, with the libraries of the servers, so that a program
that imports only a part of the package does not wait for them. The command line's help is one.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.client import Client
else:  # out of sight of type checkers, for which it would make any name one of this package

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.client"), name)


__all__ = ["Client"]
