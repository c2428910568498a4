"""The state of embedded servers that must stay the same from one run to the next, in their folder."""

import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from attrs import asdict, field, frozen

from orchestrator import private_files as private

_STATE = "servers.json"


@frozen
class State:
    """Passwords and ports by server. ``environment`` is set only while the servers can be used."""

    passwords: Mapping[str, str] = field(factory=dict)
    ports: Mapping[str, list[int]] = field(factory=dict)
    environment: Mapping[str, str] = field(factory=dict)

    def password(self, name: str) -> str:
        """The password of a server; a new one if it has none."""
        return self.passwords.get(name) or secrets.token_urlsafe(24)


def load(folder: Path) -> State:
    """The state in the folder; empty in a new folder."""
    try:
        return State(**json.loads((folder / _STATE).read_text()))
    except FileNotFoundError:
        return State()


def save(folder: Path, state: State) -> None:
    """Replace the state; only its owner can read it. It is on disk before this returns: without the passwords, data is lost."""
    draft = folder / f"{_STATE}.new"
    with private.named(draft), written(draft) as file:
        file.write(json.dumps(asdict(state), indent=2).encode())
        file.flush()
        os.fsync(file.fileno())
    draft.replace(folder / _STATE)


def written(path: Path) -> BinaryIO:
    """A file to write from its beginning, which its owner alone may read, also if an earlier version left it open to others."""
    file = os.fdopen(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb")
    os.fchmod(file.fileno(), 0o600)
    return file
