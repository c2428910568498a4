"""Where the output of programs is kept."""

from collections.abc import Collection, Iterator
from datetime import datetime
from pathlib import Path
from typing import Protocol

from attrs import frozen


@frozen
class StoredObject:
    """An object that is there. ``modified_at`` is the time of its last ``put``, by the storage's clock, in UTC."""

    key: str
    modified_at: datetime


class ObjectStore(Protocol):
    """Object storage for logs, one bucket."""

    @property
    def bucket(self) -> str:
        """The name of the bucket."""

    def prepare(self) -> None:
        """Make the bucket when it is missing; no error when another worker made it first."""

    def put(self, key: str, path: Path, sha256: str) -> None:
        """Store the file's bytes, with ``sha256`` (lower-case hex) in the object's metadata, replacing what was there.

        Returns once the storage has told that it has these bytes; raises InfrastructureError when it has others. The bytes
        that are sent are hashed: raises BytesChanged when they are not those of ``sha256``, and OSError when the file cannot be
        read.
        """

    def stat(self, key: str) -> tuple[int, str] | None:
        """(bytes, sha256) of the object, or None when there is none. The checksum is the one put with the bytes that are there.

        For any other bytes it is their own.
        """

    def get(self, key: str, offset: int = 0) -> Iterator[bytes]:
        """The object's bytes from ``offset`` on, in chunks; none when that is its end or beyond.

        Raises UnknownTask when there is no such object.
        """

    def listed(self, prefix: str = "", after: str = "") -> Iterator[StoredObject]:
        """The objects whose keys begin with ``prefix`` and follow ``after``, in the order of their keys."""

    def remove(self, keys: Collection[str]) -> None:
        """Remove the objects, up to 1000 in one request; one that is not there is no error.

        Raises InfrastructureError that names the first one that the storage does not remove; the others are removed.
        """
