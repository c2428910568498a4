"""The folder of embedded servers: who holds it, and what has to stay the same from one run to the next."""

import json
import os
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from attrs import asdict, field, frozen

from orchestrator import folder_lock
from orchestrator.errors import InfrastructureError

_STATE = "servers.json"
_PATIENCE = 5.0


@frozen
class State:
    """What is kept, by server: passwords and ports. ``environment`` is there only while the servers can be used."""

    passwords: Mapping[str, str] = field(factory=dict)
    ports: Mapping[str, list[int]] = field(factory=dict)
    environment: Mapping[str, str] = field(factory=dict)

    def password(self, name: str) -> str:
        """The password of a server, a new one when it has none."""
        return self.passwords.get(name) or secrets.token_urlsafe(24)


def load(folder: Path) -> State:
    """What is kept in the folder; nothing in a new one."""
    try:
        return State(**json.loads((folder / _STATE).read_text()))
    except FileNotFoundError:
        return State()


def save(folder: Path, state: State) -> None:
    """Replace what is kept, readable by its owner only. On disk before this returns: without the passwords data is lost."""
    draft = folder / f"{_STATE}.new"
    with os.fdopen(os.open(draft, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as file:
        json.dump(asdict(state), file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(folder / _STATE)


@contextmanager
def hold(folder: Path) -> Iterator[int]:
    """Make the folder and hold its lock; yields the lock's descriptor.

    Servers inherit it, so the folder is free only when none of them is left. Raises InfrastructureError when it is in use.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = folder_lock.opened(folder)
    try:
        deadline = time.monotonic() + _PATIENCE
        while not folder_lock.acquire(lock):
            if time.monotonic() > deadline:
                raise InfrastructureError("embedded servers", f"{folder} is in use by another process")
            time.sleep(0.05)
        yield lock
    finally:
        os.close(lock)
