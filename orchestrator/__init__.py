"""Worker service: takes tasks from a queue and runs each in an isolated container.

``Client`` is for programs that hand in tasks. It is imported when it is first asked for, with the libraries of the servers, so
that whoever imports only a part of the package, as the command line's help does, does not wait for them.
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
