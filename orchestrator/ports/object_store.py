"""Where the output of programs is kept."""

from collections.abc import Collection, Generator, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Protocol

from attrs import frozen


@frozen
class StoredObject:
    """An object that is there. ``modified_at`` is the time of its last ``put``, by the storage's clock, in UTC."""

    key: str
    modified_at: datetime


@frozen
class SentPart:
    """A part that the storage has: its answer, and the MD5 of what was sent."""

    answer: str
    md5: bytes


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

    def begin_parts(self, key: str) -> str:
        """Begin an object that is sent in parts; the id of this upload. Nobody sees the object until it is complete."""

    def send_parts(self, key: str, upload: str, parts: Generator[bytes], first: int = 1) -> Sequence[SentPart]:
        """Send parts; ``first`` is the number of the first one, counted from 1. Each but the object's last has 5 MiB or more.

        They are taken one after the other, as there is room for them in memory. Raises what ``parts`` raises.
        """

    def complete_parts(self, key: str, upload: str, sent: Sequence[SentPart], sha256: str) -> None:
        """Make the object of all its parts. ``sha256`` is that of all their bytes; it is not kept with the object.

        Raises InfrastructureError when the storage has other bytes.
        """

    def abort_parts(self, key: str) -> None:
        """Drop what was sent of an object that was begun and is not complete, however often it was begun.

        No error if there is nothing of it. The key is the whole one: not every storage finds what was begun by a prefix.
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
