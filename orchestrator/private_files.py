"""Folders on local disk that nobody but this process's user can change. Knows nothing of what is kept in them."""

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_ROOT = 0


class Unsafe(OSError):
    """Another user could put something into this folder, or something else in its place."""


def make(folder: Path) -> None:
    """Make what is missing of the path, each level with mode 0700, and check all of it. Raises OSError, Unsafe among them."""
    with held(folder, missing=_made):
        pass


@contextmanager
def held(folder: Path, missing: Callable[[str, int], None] | None = None) -> Iterator[int]:
    """A descriptor of the folder, reached level by level, each of them checked. Raises OSError, Unsafe among them.

    A level above the folder belongs to this user or to root, and nobody else may write to it, or it is sticky, as /tmp is. The
    folder itself belongs to this user. ``missing`` makes a level that is not there, by its name in the folder above.
    """
    path = _real(folder)
    levels = [os.open("/", _FOLDER)]
    try:
        for level in (*reversed(path.parents), path):
            if level.name:
                levels.append(_entered(level, levels[-1], missing))
            _check(level, levels[-1], last=level == path)
        yield levels[-1]
    finally:
        for descriptor in levels:
            os.close(descriptor)


def opened(folder: Path, name: str, mode: str) -> FileIO:
    """A file of the folder, unbuffered, never by a link; a new one has mode 0600. Raises OSError, Unsafe among them."""
    with held(folder) as descriptor:

        def opener(name: str, flags: int) -> int:
            return os.open(name, flags | os.O_NOFOLLOW, 0o600, dir_fd=descriptor)

        return FileIO(name, mode, opener=opener)


def replaced(folder: Path, name: str, by: str) -> None:
    """Give the file ``by`` the name, in place of what has it. Raises OSError, Unsafe among them."""
    with held(folder) as descriptor:
        os.replace(by, name, src_dir_fd=descriptor, dst_dir_fd=descriptor)


def removed(folder: Path, name: str) -> None:
    """Remove the file, if it is there. Raises OSError, Unsafe among them."""
    with held(folder) as descriptor, suppress(FileNotFoundError):
        os.unlink(name, dir_fd=descriptor)


@contextmanager
def named(path: Path) -> Iterator[None]:
    """A block that writes the file: an OSError tells its path, which the system does not say of a file that is open."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


def _real(folder: Path) -> Path:
    """The path without links. One counts only if it belongs to this user or to root, so that nobody else can redirect it."""
    path = folder.absolute()
    for level in (*reversed(path.parents), path):
        if level.is_symlink() and level.lstat().st_uid not in _trusted():
            raise Unsafe(f"{level} is a link that belongs to uid {level.lstat().st_uid}")
    return path.resolve()


def _entered(level: Path, above: int, missing: Callable[[str, int], None] | None) -> int:
    try:
        return os.open(level.name, _FOLDER, dir_fd=above)
    except FileNotFoundError:
        if missing is None:
            raise
        missing(level.name, above)
        return os.open(level.name, _FOLDER, dir_fd=above)


def _made(name: str, above: int) -> None:
    try:
        os.mkdir(name, 0o700, dir_fd=above)
    except FileExistsError:
        return  # another process made it first; it is checked like any other


def _check(level: Path, descriptor: int, *, last: bool) -> None:
    found = os.fstat(descriptor)
    if found.st_uid not in ({os.geteuid()} if last else _trusted()):
        raise Unsafe(f"{level} belongs to uid {found.st_uid}, and the worker runs as uid {os.geteuid()}")
    writable = stat.S_IMODE(found.st_mode) & (stat.S_IWGRP | stat.S_IWOTH)
    if writable and (last or not found.st_mode & stat.S_ISVTX):
        raise Unsafe(f"{level} may be written to by other users: its mode is {stat.S_IMODE(found.st_mode):04o}")


def _trusted() -> frozenset[int]:
    return frozenset({_ROOT, os.geteuid()})
