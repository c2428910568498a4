"""Whether the database is the one whose tasks this host has, or a copy, an empty one, or the database of another deployment."""

import hashlib
import os
from contextlib import suppress
from pathlib import Path
from typing import Self

from attrs import frozen

from orchestrator import private_files as private
from orchestrator.log import logger
from orchestrator.ports import Origin
from orchestrator.settings.settings import Settings
from orchestrator.urls import place


@frozen
class Memory:
    """The last deployment of this host for ``database``, which is an address and a name. It is stored in ``folder``.

    If the folder cannot be used, the host remembers nothing, and the work goes on.
    """

    folder: Path
    database: str

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The memory of the host of a worker with these settings."""
        return cls(settings.spool_dir, f"{place(settings.mongo_uri)}/{settings.mongo_db_name}")

    @property
    def known(self) -> str:
        """The id; empty if there is none yet."""
        try:
            with private.held(self.folder) as folder:
                return os.readlink(self._name, dir_fd=folder)
        except OSError:
            return ""

    def keep(self, deployment: str) -> None:
        """Store the id, as a link to its part of the spool, because a link is replaced as a whole."""
        if self.known == deployment:
            return
        draft = f"{self._name}.new"
        try:
            private.make(self.folder / deployment)
            with private.held(self.folder) as folder:
                with suppress(FileNotFoundError):
                    os.unlink(draft, dir_fd=folder)
                os.symlink(deployment, draft, dir_fd=folder)
            private.replaced(self.folder, self._name, draft)
        except OSError as error:
            logger.warning("after a restart this host will not know its deployment: {}", error)

    @property
    def _name(self) -> str:
        return f"deployment-{hashlib.sha256(self.database.encode()).hexdigest()[:16]}"


def objection(origin: Origin, known: str, begun_as: str = "") -> str:
    """Why no task may be run or swept, in a sentence; empty if there is no reason.

    ``known`` is the deployment that this host remembers. ``begun_as`` is the deployment for which this process has made
    containers.
    """
    if origin.is_copy:
        return (
            f"the database is a copy: deployment {origin.id} was noted in another database. Run `orchestrator deployment live` "
            "if this one replaces the original, or `orchestrator deployment new` if the original lives on"
        )
    before = begun_as or known
    if before in {"", origin.id}:
        return ""
    if before not in origin.former:
        whose = f"that of deployment {origin.id}" if origin.id else "empty or new"
        return (
            f"the database is {whose}, and this host works for {before}. If this is the wrong database, "
            f"bring back the right one; else run `orchestrator deployment take {before}` to go on with what {before} left, or "
            f"`orchestrator deployment remove {before}` to remove it"
        )
    return f"the deployment is now {origin.id} and was {before} when this worker began: restart it" if begun_as else ""
