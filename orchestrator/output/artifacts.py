"""Takes what a task asked for out of the archive of its /out, into files. Bounded in bytes, count and time; trusts nothing."""

import hashlib
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from pathlib import Path

from attrs import define, field, frozen

from orchestrator import private_files as private
from orchestrator.output.ring_file import write_all
from orchestrator.output.tar import FILE, FOLDER, BadArchive, Member, Tar
from orchestrator.task import fields as kinds
from orchestrator.task.artifact import WHOLE, Refusal

ROOT = "out"
_MOST_REFUSED = 100
_ROOM = 4 << 20
_SHOWN = 512
ROW = 320
"""Bytes that a kept file takes in the document of its task, beside its path: its key, size and checksum."""
_REFUSED = 1 << 18
"""Bytes that refused files may take there, with the reasons."""
_REFUSED_ROW = 40


@frozen
class Bounds:
    """Bytes and number of all files together, and seconds from now. The bytes of a file are counted with its holes.

    ``names`` are the bytes that the kept files may take in the document of the task.
    """

    bytes: int
    files: int
    seconds: float
    names: int = sys.maxsize

    @property
    def archive(self) -> int:
        """Bytes that are read at most: twice what the folder holds has room for all headers, but not for large holes."""
        return 2 * self.bytes + _ROOM


@frozen
class File:
    """A file that was taken: its path below /out, where it is, its bytes and lower-case hex SHA-256."""

    path: str
    at: Path
    bytes: int
    sha256: str


@frozen
class Gathered:
    """What was taken, and what was not."""

    files: tuple[File, ...]
    refused: tuple[Refusal, ...]


def gather(chunks: Iterator[bytes], wanted: Sequence[str], bounds: Bounds, folder: Path, *, tight: bool = False) -> Gathered:
    """Take the wanted files from a tar whose names begin with ``out/`` into a new ``folder``.

    What cannot be taken is refused by name; a bound that is passed, or a tar that is broken, ends it there, and what was taken
    stays. Raises OSError when the disk is full, unless ``tight``: then files that do not fit are refused, too. Raises whatever
    ``chunks`` raises.
    """
    shutil.rmtree(folder, ignore_errors=True)
    private.make(folder)
    basket = _Basket(tuple(wanted), bounds, folder, tight)
    try:
        tar = Tar(_bounded(chunks, bounds))
        for member in tar:
            basket.take(member, tar.content)
    except _Enough as error:
        basket.stop(str(error))
    except BadArchive as error:
        basket.stop(f"the archive of it cannot be read: {error}")
    except OSError:
        shutil.rmtree(folder, ignore_errors=True)  # what is next may need the room
        raise
    return basket.gathered()


def nothing(wanted: Sequence[str], why: str) -> Gathered:
    """Nothing was taken, for one reason."""
    return Gathered((), _told([Refusal(path, why) for path in wanted]))


def _told(refused: Sequence[Refusal], unnamed: int = 0) -> tuple[Refusal, ...]:
    """Those that have room in a document, then how many more there are."""
    sizes = accumulate(len(each.path.encode()) + len(each.why.encode()) + _REFUSED_ROW for each in refused)
    named = [each for each, size in zip(refused, sizes, strict=True) if size <= _REFUSED - ROW]
    unnamed += len(refused) - len(named)
    return (*named, *([Refusal(WHOLE, f"{unnamed} more are refused")] if unnamed else []))


class _Enough(Exception):
    """A bound is reached."""


def _bounded(chunks: Iterator[bytes], bounds: Bounds) -> Iterator[bytes]:
    left, deadline = bounds.archive, time.monotonic() + bounds.seconds
    for chunk in chunks:
        left -= len(chunk)
        if left < 0:
            raise _Enough("there is more in it than its size, as with large holes in files")
        if time.monotonic() > deadline:
            raise _Enough(f"collecting took longer than {bounds.seconds:g} s")
        yield chunk


@define
class _Basket:
    _wanted: tuple[str, ...]
    _bounds: Bounds
    _folder: Path
    _tight: bool = False
    _files: dict[str, File] = field(factory=dict)
    _refused: list[Refusal] = field(factory=list)
    _seen: set[str] = field(factory=set)
    _unnamed: int = 0
    _bytes: int = 0
    _names: int = 0
    _stopped: str = ""

    def take(self, member: Member, content: Callable[[], Iterator[bytes]]) -> None:
        root, _, below = member.name.decode(errors="backslashreplace").partition("/")
        path = below.rstrip("/") if member.kind == FOLDER else below
        if (root == ROOT and not path) or not self._asked_for(path):
            return
        if why := self._objection(root, path, member):
            self._refuse(path, why)
        elif member.kind == FILE:
            self._try(path, content())

    def stop(self, why: str) -> None:
        self._stopped = why
        self._refuse(WHOLE, f"not all was collected: {why}")

    def gathered(self) -> Gathered:
        missing = "it was not reached" if self._stopped else "there is nothing of this name"
        for path in self._wanted:
            if path not in self._seen and path != WHOLE:
                self._refuse(path, missing)
        return Gathered(tuple(self._files.values()), _told(self._refused, self._unnamed))

    def _asked_for(self, path: str) -> bool:
        hits = [each for each in self._wanted if each in {WHOLE, path} or path.startswith(f"{each}/")]
        self._seen.update(hits)
        return bool(hits)

    def _objection(self, root: str, path: str, member: Member) -> str | None:
        """Why this is not taken; None for what is."""
        if why := _bad_name(root, path, member):
            return why
        if member.kind != FILE:
            return None if member.kind == FOLDER else f"it is a {member.kind}"
        if path in self._files:
            return "it is the second of this name"
        if self._bytes + member.size > self._bounds.bytes:
            return f"its {member.size} bytes are more than what is left of the folder's size"
        if len(self._files) >= self._bounds.files:
            raise _Enough(f"there are more than {self._bounds.files} files")
        if self._names + _row(path) > self._bounds.names:
            return "there is no room for its name in the document of the task"
        return None

    def _refuse(self, path: str, why: str) -> None:
        if len(self._refused) < _MOST_REFUSED or self._stopped:
            self._refused.append(Refusal(path[:_SHOWN], why))
        else:
            self._unnamed += 1

    def _try(self, path: str, content: Iterator[bytes]) -> None:
        name = str(len(self._files))
        try:
            self._keep(path, name, content)
        except OSError as error:
            if not self._tight:
                raise
            (self._folder / name).unlink(missing_ok=True)
            self._refuse(path, f"there is no room for it in the spool: {error.strerror}")

    def _keep(self, path: str, name: str, content: Iterator[bytes]) -> None:
        """Under a number, for a name in the spool could be in the way of others."""
        digest = hashlib.sha256()
        with private.opened(self._folder, name, "wb") as file:
            for data in content:
                write_all(file, memoryview(data))
                digest.update(data)
            size = file.tell()
        self._files[path] = File(path, self._folder / name, size, digest.hexdigest())
        self._bytes += self._files[path].bytes
        self._names += _row(path)


def _row(path: str) -> int:
    return ROW + len(path.encode())


def _bad_name(root: str, path: str, member: Member) -> str | None:
    """What is wrong with the name: it is to be stored as text, and be of use as a relative path elsewhere."""
    try:
        member.name.decode()
        kinds.FILE_NAME(path)
    except UnicodeDecodeError:
        return "its name is not UTF-8"
    except ValueError as error:
        return f"its name {error}"
    return None if root == ROOT else "it is outside of the folder"
