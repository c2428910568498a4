"""Reads a tar while it comes, as from an enemy: every size is bounded, nothing is followed, nothing is kept. It knows no disk.

Understands ustar, with the long names of PAX and of GNU. The standard library's reader holds whole PAX headers in memory, and
follows sparse maps; both have no bound there.
"""

from collections.abc import Callable, Iterator
from functools import partial

from attrs import frozen

FOLDER, FILE = "folder", "file"
_BLOCK = 512
_CHUNK = 1 << 16
_LONGEST_HEADER = 1 << 16
_MOST_HEADERS = 4
_KINDS = {
    b"0": FILE, b"\0": FILE, b"7": FILE, b"5": FOLDER, b"1": "hard link", b"2": "symbolic link", b"3": "device", b"4": "device",
    b"6": "FIFO",
}  # fmt: skip


class BadArchive(Exception):
    """The bytes are no tar, or one beyond all bounds, or they end too early."""


@frozen
class Member:
    """One entry: its name as it stands there, what it is, and how many bytes follow. Only those of a file are to be read."""

    name: bytes
    kind: str
    size: int


class Tar:
    """The members in order. Raises BadArchive, and whatever ``chunks`` raises."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._ahead = memoryview(b"")
        self._left = 0
        self._padding = 0

    def __iter__(self) -> Iterator[Member]:
        """Whatever was not read of a member is passed over when the next one is asked for."""
        told: dict[bytes, bytes] = {}
        headers = 0
        while (block := self._next_block()) is not None:
            name, kind, size = _header(block)
            if kind in _TELLING:
                headers += 1
                told |= _TELLING[kind](self._told(size, headers))
                continue
            member = _member(name, kind, size, told)
            self._left, self._padding = member.size, -member.size % _BLOCK
            yield member
            told, headers = {}, 0

    def content(self) -> Iterator[bytes]:
        """What is left of the present member, in pieces of at most 64 KiB."""
        while self._left:
            data = self._some(min(self._left, _CHUNK))
            self._left -= len(data)
            yield data

    def _next_block(self) -> bytes | None:
        """The next header; None at the end, which is a block of zeros."""
        for _ in self.content():
            pass
        self._exactly(self._padding)
        self._padding = 0
        block = self._exactly(_BLOCK)
        return block if any(block) else None

    def _told(self, size: int, headers: int) -> bytes:
        if size > _LONGEST_HEADER or headers > _MOST_HEADERS:
            raise BadArchive("a header is too long")
        data = self._exactly(size)
        self._exactly(-size % _BLOCK)
        return data

    def _exactly(self, size: int) -> bytes:
        parts = []
        while size:
            parts.append(self._some(size))
            size -= len(parts[-1])
        return b"".join(parts)

    def _some(self, most: int) -> bytes:
        """At least one byte."""
        while not self._ahead:
            chunk = next(self._chunks, None)
            if chunk is None:
                raise BadArchive("it ends early")
            self._ahead = memoryview(chunk)
        data, self._ahead = self._ahead[:most], self._ahead[most:]
        return bytes(data)


def _header(block: bytes) -> tuple[bytes, bytes, int]:
    """(name, type, size). The checksum counts its own field as blanks."""
    if _number(block[148:156]) != sum(block) - sum(block[148:156]) + 8 * ord(" "):
        raise BadArchive("a checksum is wrong")
    name, prefix = _text(block[:100]), _text(block[345:500]) if block[257:263] == b"ustar\0" else b""
    return (prefix + b"/" + name if prefix else name), block[156:157], _number(block[124:136])


def _member(name: bytes, kind: bytes, size: int, told: dict[bytes, bytes]) -> Member:
    """A size counts only where content follows. Engines write holes as zeros: an archive that says otherwise is no engine's."""
    if kind == b"S" or any(key.startswith(b"GNU.sparse") for key in told):
        raise BadArchive("it has a map of holes")
    size = _decimal(told[b"size"]) if b"size" in told else size
    return Member(told.get(b"path", name), _KINDS.get(kind, "thing of an unknown kind"), 0 if kind in _EMPTY else size)


def _number(field: bytes) -> int:
    """Octal digits, or base 256 where the first bit is set."""
    if field[0] & 0x80:
        value = int.from_bytes(bytes([field[0] & 0x7F]) + field[1:], "big")
        if field[0] & 0x40:
            raise BadArchive("a size is negative")
        return value
    digits = field.strip(b" \0")
    if digits.strip(b"01234567"):
        raise BadArchive("a number is none")
    return int(digits or b"0", 8)


def _decimal(digits: bytes) -> int:
    if not digits.isdigit() or len(digits) > _DIGITS:
        raise BadArchive("a number is none")
    return int(digits)


def _records(data: bytes) -> dict[bytes, bytes]:
    """The records of a PAX header: ``length key=value`` and a newline, the length being that of all of it."""
    records: dict[bytes, bytes] = {}
    while data:
        length = _decimal(data[: _DIGITS + 1].partition(b" ")[0])
        record, data = data[:length], data[length:]
        key, sep, value = record[len(str(length)) + 1 :].partition(b"=")
        if not sep or value[-1:] != b"\n":
            raise BadArchive("a PAX header is broken")
        records[key] = value[:-1]
    return records


def _text(field: bytes) -> bytes:
    return field.partition(b"\0")[0]


def _named(key: bytes, data: bytes) -> dict[bytes, bytes]:
    return {key: _text(data)}


def _nothing(_: bytes) -> dict[bytes, bytes]:
    return {}


_EMPTY = frozenset({b"1", b"2", b"3", b"4", b"5", b"6"})
_DIGITS = 20
_TELLING: dict[bytes, Callable[[bytes], dict[bytes, bytes]]] = {
    b"x": _records,
    b"g": _nothing,
    b"L": partial(_named, b"path"),
    b"K": partial(_named, b"linkpath"),
}
"""Headers that tell of the next member."""
