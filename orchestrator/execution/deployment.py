"""Whose containers and spools these are. The database is asked when that is needed first, and then never again."""

from functools import cached_property
from pathlib import Path

from orchestrator.ports import TaskStore


class Deployment:
    """The deployment that this process works for."""

    def __init__(self, store: TaskStore, spool_root: Path) -> None:
        self._store = store
        self._spool_root = spool_root

    @cached_property
    def id(self) -> str:
        """Its id. Raises InfrastructureError."""
        return self._store.deployment()

    @property
    def spool_dir(self) -> Path:
        """Where the output of its tasks waits until it is uploaded. Raises InfrastructureError."""
        return self._spool_root / self.id

    @property
    def known(self) -> str:
        """The id if it was needed before, else an empty string. Asks nobody."""
        return str(self.__dict__.get("id", ""))
