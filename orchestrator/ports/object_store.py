"""Where the output of programs is kept."""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol


class ObjectStore(Protocol):
    """Object storage for logs, one bucket."""

    @property
    def bucket(self) -> str:
        """The name of the bucket."""

    def prepare(self) -> None:
        """Make the bucket when it is missing; no error when another worker made it first."""

    def put(self, key: str, path: Path, sha256: str) -> None:
        """Store the file's bytes, with ``sha256`` (lower-case hex) in the object's metadata, replacing what was there.

        The bytes that are sent are hashed: raises BytesChanged when they are not those of ``sha256``, and OSError when the
        file cannot be read.
        """

    def stat(self, key: str) -> tuple[int, str] | None:
        """(bytes, sha256) of the object, or None when there is none. The checksum is the one put with the bytes that are there.

        For any other bytes it is their own.
        """

    def get(self, key: str, offset: int = 0) -> Iterator[bytes]:
        """The object's bytes from ``offset`` on, in chunks; none when that is its end or beyond.

        Raises UnknownTask when there is no such object.
        """
