"""Capped files on local disk that hold a program's output until it is in object storage. Knows no container and no task."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import BinaryIO

from attrs import asdict, frozen

from orchestrator import private_files as private
from orchestrator.errors import InfrastructureError, OutputLost
from orchestrator.output.ring_file import UNCOUNTED, Tail, marker, write_all
from orchestrator.ports import Chunk, Stream

SPOOL = "spool"
"""The service that a local disk is, in errors."""
_MANIFEST = "sealed.json"
_DRAFT = f"{_MANIFEST}.new"
_BLOCK = 1 << 16


@frozen
class Sealed:
    """A finished stream: ``bytes`` and ``sha256`` of the file, ``dropped`` bytes that are not in it.

    ``complete`` is false when not all of the output can be known to have been read: the container was lost before, or the
    engine may have dropped some.
    """

    bytes: int
    sha256: str
    dropped: int
    complete: bool = True

    @property
    def truncated(self) -> bool:
        """Whether the file is less than the program wrote."""
        return self.dropped > 0 or not self.complete


class Spool:
    """The two files of one container, each holding the first ``cap`` bytes of a stream. One thread writes at a time.

    Of these, ``tail`` bytes are kept for the end of the stream: what lies between is dropped, and a line says how much.
    """

    def __init__(self, folder: Path, cap: int, tail: int = 0) -> None:
        self._folder = folder
        self._cap = cap
        self._head = cap - tail
        self._tail = tail
        self._tails = {stream: Tail(folder, _tail(stream), tail) for stream in Stream} if tail else {}
        self._files: dict[Stream, BinaryIO] = {}
        self._seen = dict.fromkeys(Stream, 0)
        self._skip = dict.fromkeys(Stream, 0)
        self._doubted: set[str] = set()
        self._uncounted: set[Stream] = set()
        self._hashes = {stream: hashlib.sha256() for stream in Stream}

    def path(self, stream: Stream) -> Path:
        """Where a stream's bytes are."""
        return self._folder / stream

    def open(self) -> None:
        """Make the files, or go on behind what is known to be in them; as after ``rewind``. Raises OSError."""
        self.close()
        private.make(self._folder)
        try:
            for stream in Stream:
                self._files[stream] = private.opened(self._folder, stream, "ab")
            for tail in self._tails.values():
                tail.open()
        except OSError:
            self.close()
            raise
        self.rewind()

    def rewind(self) -> None:
        """From now on the output comes from its beginning again: what was seen of it before is skipped. Raises OSError.

        Of a chunk that did not fit on the disk a part may be there, which comes again as well.
        """
        for stream, file in self._files.items():
            file.truncate(self.kept(stream))
        self._skip = dict(self._seen)

    def write(self, stream: Stream, data: bytes) -> bool:
        """Keep what fits; False once more has been seen than may be. Raises OSError when the disk is full.

        A chunk that was not kept to its end does not count as seen: rewind before the next.
        """
        skipped = min(self._skip[stream], len(data))
        self._skip[stream] -= skipped
        new = memoryview(data)[skipped:]
        kept = new[: max(self._head - self._seen[stream], 0)]
        write_all(self._files[stream], kept)
        if self._tails:
            self._tails[stream].write(new[len(kept) :])
        self._hashes[stream].update(kept)
        self._seen[stream] += len(new)
        return not self.exceeded

    def catch_up(self, chunks: Iterable[Chunk]) -> None:
        """Take from ``chunks``, the whole output once more, what was not seen yet."""
        self.open()
        try:
            for stream, data in chunks:
                self.write(stream, data)
        except OutputLost as error:
            self.doubt(error)

    def salvage(self, earlier: Path) -> None:
        """Take what a process that died left in ``earlier``, as far as it was not seen yet. Raises OSError."""
        self.catch_up(_salvaged(earlier, self._head, self._tail))
        self._uncounted |= {stream for stream in self._tails if _size_of_tail(earlier, stream) >= self._tail}

    def doubt(self, error: OutputLost) -> None:
        """Of what was written some may be missing, and reading again does not mend it."""
        self._doubted |= error.streams

    def close(self) -> None:
        """Close the files; the sums stay."""
        for file in self._files.values():
            file.close()
        for tail in self._tails.values():
            tail.close()

    @property
    def overflowed(self) -> bool:
        """Whether a stream passed the cap."""
        return any(seen > self._cap for seen in self._seen.values())

    @property
    def exceeded(self) -> bool:
        """Whether a stream passed the cap and its program is to be ended for it."""
        return self.overflowed and not self._tails

    def seal(self, *, complete: bool, tight: bool = False) -> dict[Stream, Sealed]:
        """Close the files and note their sums beside them, so that another process can go on from here. Raises OSError.

        ``tight`` is for a disk without room: the end of a stream that does not fit is dropped, and nothing is noted.
        """
        self.close()
        taken = self._sum_of_what_fits if tight else self._sum
        sums = {stream: taken(stream, complete=complete and stream not in self._doubted) for stream in Stream}
        if not tight:
            _note(self._folder, sums)
        return sums

    def _sum(self, stream: Stream, *, complete: bool) -> Sealed:
        kept, digest = self.kept(stream), self._hashes[stream].copy()
        with private.opened(self._folder, stream, "r+b") as file:
            file.truncate(kept)
            if not self._tails:
                return Sealed(kept, digest.hexdigest(), self._seen[stream] - kept, complete)
            file.seek(kept)
            tail = self._tails[stream]
            line = UNCOUNTED if stream in self._uncounted and not tail.dropped else marker(tail.dropped)
            for part in (line, *tail.parts()):
                write_all(file, memoryview(part))
                digest.update(part)
            return Sealed(file.tell(), digest.hexdigest(), tail.dropped, complete)

    def _sum_of_what_fits(self, stream: Stream, *, complete: bool) -> Sealed:
        try:
            return self._sum(stream, complete=complete)
        except OSError:
            kept = self.kept(stream)
            with private.opened(self._folder, stream, "r+b") as file:
                file.truncate(kept)
            return Sealed(kept, self._hashes[stream].hexdigest(), self._seen[stream] - kept, complete=False)

    def kept(self, stream: Stream) -> int:
        """How many bytes the stream's file has of what was seen; no more than will be stored at these offsets."""
        return min(self._seen[stream], self._head)


def noted(folder: Path) -> dict[Stream, Sealed] | None:
    """What was sealed in ``folder``, whatever its files are by now; None when nothing was."""
    try:
        return _noted(folder)
    except (OSError, ValueError):
        return None


def sealed(folder: Path) -> dict[Stream, Sealed] | None:
    """What was sealed in ``folder``; None when nothing was, or a file is no longer what it was."""
    sums = noted(folder)
    try:
        intact = sums is not None and all(_digest(folder, stream) == sums[stream].sha256 for stream in Stream)
    except OSError:
        return None
    return sums if intact else None


def take_over(earlier: Path, folder: Path, *, whole: bool = True) -> dict[Stream, Sealed] | None:
    """Copy to ``folder`` what another holder sealed in ``earlier``, which may still write there; None if it has changed.

    With ``whole`` only what is complete is copied. Raises OSError when it cannot be written.
    """
    sums = noted(earlier)
    if sums is None or (whole and not all(each.complete for each in sums.values())):
        return None
    private.make(folder)
    try:
        for stream in Stream:
            with private.opened(folder, _copied(stream), "wb") as copy:
                for chunk in _read(earlier, stream):
                    write_all(copy, memoryview(chunk))
        if any(_digest(folder, _copied(stream)) != sums[stream].sha256 for stream in Stream):
            return None
        for stream in Stream:
            private.replaced(folder, stream, _copied(stream))
        _note(folder, sums)
        return sums
    finally:
        for stream in Stream:
            private.removed(folder, _copied(stream))


def _copied(stream: Stream) -> str:
    return f"{stream}.copy"


def set_aside(folder: Path) -> None:
    """Keep the files of ``folder`` below it, out of the way of a spool that is to replace them. Raises OSError.

    Where something was set aside before, that stays: what is there since is a part of it.
    """
    if not aside(folder).exists():
        private.make(aside(folder))
        _move(folder, aside(folder))


def bring_back(folder: Path) -> dict[Stream, Sealed]:
    """Have in ``folder`` again what was set aside there, with its sums. Raises OSError."""
    _move(aside(folder), folder)
    return reseal(folder)


def aside(folder: Path) -> Path:
    """Where that is."""
    return folder / "aside"


def _move(folder: Path, to: Path) -> None:
    with private.held(folder) as source, private.held(to) as target:
        for stream in Stream:
            with suppress(FileNotFoundError):
                os.replace(stream, stream, src_dir_fd=source, dst_dir_fd=target)


def reseal(folder: Path) -> dict[Stream, Sealed]:
    """Note the sums of the files as they are now, which is not as they were written. Raises OSError."""
    sums = {stream: Sealed(_size(folder, stream), _digest(folder, stream), 0, complete=False) for stream in Stream}
    _note(folder, sums)
    return sums


def _salvaged(folder: Path, head: int, tail: int) -> Iterator[Chunk]:
    """The bytes that a process which died left in ``folder``: the end of a stream only if nothing in it was written over.

    A process may have died as it put the end behind the ``head``, so no more than that is taken of the file.
    """
    for stream in Stream:
        left = head
        for data in _read(folder, stream):
            yield stream, data[:left]
            left -= min(left, len(data))
        if not left and _size_of_tail(folder, stream) < tail:
            yield from ((stream, data) for data in _read(folder, _tail(stream)))


def _size_of_tail(folder: Path, stream: Stream) -> int:
    try:
        return _size(folder, _tail(stream))
    except FileNotFoundError:
        return 0


def _tail(stream: Stream) -> str:
    return f"{stream}.tail"


def left_in(folder: Path) -> int:
    """How many bytes of output a folder has; none when it is not there."""
    files = [folder / name for stream in Stream for name in (stream, _tail(stream))]
    return sum(file.stat().st_size for file in files if file.exists())


def folders(spool_dir: Path) -> list[Path]:
    """What is in the folder of all spools. Raises InfrastructureError when another user could have put it there."""
    with spooling(), suppress(FileNotFoundError), private.held(spool_dir):
        return [*spool_dir.iterdir()]
    return []


def discard(folder: Path) -> None:
    """Remove a folder and all in it, and the one above it if that was all of it. Never raises: what is left is swept."""
    with suppress(OSError), private.held(folder.parent) as parent:
        shutil.rmtree(folder.name, ignore_errors=True, dir_fd=parent)
    with suppress(OSError):
        folder.parent.rmdir()


@contextmanager
def spooling() -> Iterator[None]:
    """A local disk that is full or broken is infrastructure like any other service."""
    try:
        yield
    except OSError as error:
        raise InfrastructureError(SPOOL, str(error)) from error


def _read(folder: Path, stream: str) -> Iterator[bytes]:
    """The bytes of a file, in blocks; none when it is not there."""
    with suppress(FileNotFoundError), private.opened(folder, stream, "rb") as file:
        yield from iter(partial(file.read, _BLOCK), b"")


def _noted(folder: Path) -> dict[Stream, Sealed]:
    """What is noted of the files of ``folder``. Raises OSError, and ValueError when that is no note."""
    with private.opened(folder, _MANIFEST, "rb") as file:
        noted = json.loads(file.read())
    return {stream: Sealed(**noted[stream]) for stream in Stream}


def _note(folder: Path, sums: Mapping[Stream, Sealed]) -> None:
    noted = json.dumps({stream: asdict(sealed) for stream, sealed in sums.items()})
    with private.opened(folder, _DRAFT, "wb") as draft:
        write_all(draft, memoryview(noted.encode()))
    private.replaced(folder, _MANIFEST, _DRAFT)


def _size(folder: Path, name: str) -> int:
    with private.opened(folder, name, "rb") as file:
        return os.fstat(file.fileno()).st_size


def _digest(folder: Path, name: str) -> str:
    with private.opened(folder, name, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
