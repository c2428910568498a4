"""Logs in a dictionary."""

import hashlib
import uuid
from collections.abc import Collection, Generator, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from orchestrator.errors import STORAGE, BytesChanged, InfrastructureError, UnknownTask
from orchestrator.ports import SentPart, StoredObject


class MemoryObjectStore:
    """The ObjectStore of one process."""

    def __init__(self, bucket: str = "task-logs") -> None:
        self._bucket = bucket
        self._objects: dict[str, tuple[bytes, str]] = {}
        self._modified: dict[str, datetime] = {}
        self._begun: dict[tuple[str, str], dict[int, bytes]] = {}

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

    def begin_parts(self, key: str) -> str:
        """Nothing is sent yet."""
        upload = uuid.uuid4().hex
        self._begun[key, upload] = {}
        return upload

    def send_parts(self, key: str, upload: str, parts: Generator[bytes], first: int = 1) -> Sequence[SentPart]:
        """One after the other."""
        if (key, upload) not in self._begun:
            raise InfrastructureError(STORAGE, "there is no such upload")
        numbered = dict(enumerate(parts, first))
        self._begun[key, upload].update(numbered)
        return [SentPart(str(number), hashlib.md5(data, usedforsecurity=False).digest()) for number, data in numbered.items()]

    def complete_parts(self, key: str, upload: str, sent: Sequence[SentPart], sha256: str) -> None:
        """The parts become the object."""
        parts = self._begun.pop((key, upload), None)
        content = b"".join(parts[int(part.answer)] for part in sent) if parts else b""
        if hashlib.sha256(content).hexdigest() != sha256:
            raise InfrastructureError(STORAGE, f"object {key} is not what was sent")
        self._objects[key] = (content, sha256)
        self._modified[key] = datetime.now(UTC)

    def abort_parts(self, key: str) -> None:
        """Forget its parts."""
        for begun in [begun for begun in self._begun if begun[0] == key]:
            self._begun.pop(begun, None)

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
