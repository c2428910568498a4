"""The last bytes of a stream that is too long, in a file of fixed size. Knows no spool."""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from orchestrator import private_files as private

_BLOCK = 1 << 16


class Tail:
    """A file of ``size`` bytes that is written round and round, so that it holds the last of what was written."""

    def __init__(self, folder: Path, name: str, size: int) -> None:
        self._folder = folder
        self._name = name
        self._size = size
        self._seen = 0
        self._file: BinaryIO | None = None

    def open(self) -> None:
        """Make the file, or go on with it. Raises OSError."""
        self.close()
        private.opened(self._folder, self._name, "ab").close()
        self._file = private.opened(self._folder, self._name, "r+b")

    def write(self, data: memoryview) -> None:
        """Take what follows. Raises OSError."""
        last = data[max(len(data) - self._size, 0) :]
        at = self._seen + len(data) - len(last)
        while last and self._file:
            self._file.seek(at % self._size)
            part = last[: self._size - at % self._size]
            write_all(self._file, part)
            at, last = at + len(part), last[len(part) :]
        self._seen += len(data)

    @property
    def dropped(self) -> int:
        """Bytes that were written over."""
        return max(self._seen - self._size, 0)

    def parts(self) -> Iterator[bytes]:
        """What it holds, from the oldest byte on. Raises OSError."""
        with private.opened(self._folder, self._name, "rb") as file:
            turn = self._seen % self._size if self.dropped else 0
            for at, end in ((turn, min(self._seen, self._size)), (0, turn)):
                file.seek(at)
                while part := file.read(min(end - file.tell(), _BLOCK)):
                    yield part

    def close(self) -> None:
        """Close the file; what it holds stays."""
        if self._file:
            self._file.close()


def marker(dropped: int) -> bytes:
    """The line that stands in a file for what was dropped there; nothing when nothing was."""
    return f"\n[{dropped} bytes dropped here]\n".encode() if dropped else b""


UNCOUNTED = b"\n[bytes dropped here, not counted]\n"
"""The same where nobody knows how many."""


def write_all(file: BinaryIO, data: memoryview) -> None:
    """Write to an unbuffered file, which may take less at a time. Raises OSError."""
    while data:
        data = data[file.write(data) :]
