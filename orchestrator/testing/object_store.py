"""Logs in a dictionary."""

import hashlib
from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from pathlib import Path

from orchestrator.errors import BytesChanged, UnknownTask
from orchestrator.ports import StoredObject


class MemoryObjectStore:
    """The ObjectStore of one process."""

    def __init__(self, bucket: str = "task-logs") -> None:
        self._bucket = bucket
        self._objects: dict[str, tuple[bytes, str]] = {}
        self._modified: dict[str, datetime] = {}

    @property
    def bucket(self) -> str:
        """The name of the bucket."""
        return self._bucket

    def prepare(self) -> None:
        """Nothing is missing."""

    def put(self, key: str, path: Path, sha256: str) -> None:
        """Keep a copy of the file's bytes."""
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != sha256:
            raise BytesChanged(path.name)
        self._objects[key] = (content, sha256)
        self._modified[key] = datetime.now(UTC)

    def stat(self, key: str) -> tuple[int, str] | None:
        """(bytes, sha256) or None."""
        content, sha256 = self._objects.get(key, (None, ""))
        return None if content is None else (len(content), sha256)

    def get(self, key: str, offset: int = 0) -> Iterator[bytes]:
        """The bytes, in one chunk; none when there are none."""
        if key not in self._objects:
            raise UnknownTask(f"there is no log {key}")
        content = self._objects[key][0][offset:]
        if content:
            yield content

    def listed(self, prefix: str = "", after: str = "") -> Iterator[StoredObject]:
        """By code points, which is the order of UTF-8."""
        for key in sorted(self._objects):
            if key.startswith(prefix) and key > after:
                yield StoredObject(key, self._modified[key])

    def remove(self, keys: Collection[str]) -> None:
        """One after the other."""
        for key in keys:
            self._objects.pop(key, None)
