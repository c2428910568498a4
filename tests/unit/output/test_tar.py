"""The reader of archives agrees with the standard library on good ones, and is bounded on all others."""

import io
import tarfile
from collections.abc import Iterator
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.output.tar import FILE, BadArchive, Tar
from tests.support.tars import END, entry, packed

NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), min_size=1, max_size=300)
MEMBERS = st.lists(
    st.tuples(NAMES, st.binary(max_size=2000), st.sampled_from([tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE])), max_size=5
)
FORMATS = st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])


def pieces(archive: bytes, size: int = 700) -> Iterator[bytes]:
    """The archive as it comes over a connection."""
    return (archive[at : at + size] for at in range(0, len(archive), size))


def read(archive: bytes, size: int = 700) -> list[tuple[bytes, str, bytes]]:
    """(name, kind, content) of all members."""
    tar = Tar(pieces(archive, size))
    return [(member.name, member.kind, b"".join(tar.content())) for member in tar]


@given(MEMBERS, FORMATS, st.integers(1, 3000))
def test_what_the_standard_library_packs_is_read(members: list[tuple[str, bytes, bytes]], form: int, size: int) -> None:
    """Names of any length and script, contents of any length, in pieces of any size."""
    archive = packed([entry(name, data if kind == tarfile.REGTYPE else b"", kind, "to") for name, data, kind in members], form)
    with tarfile.open(fileobj=io.BytesIO(archive), encoding="utf-8", errors="surrogateescape") as tar:
        expected = [(info.name, tar.extractfile(info).read() if info.isreg() else b"") for info in tar]  # type: ignore[union-attr]
    assert [(name.decode().rstrip("/"), data) for name, _, data in read(archive, size)] == [
        (name.rstrip("/"), data) for name, data in expected
    ]


@given(st.binary(max_size=3000))
def test_junk_is_no_archive_and_no_trouble(junk: bytes) -> None:
    """Any bytes are read to their end or refused; nothing else is raised."""
    with suppress(BadArchive):
        read(junk)


@given(st.data())
def test_a_damaged_archive_is_read_or_refused(data: st.DataObject) -> None:
    """Some bytes changed, headers among them, their checksums made right again."""
    archive = bytearray(packed([entry("out/" + "x" * 200, b"a" * 700), entry("out/b", b"b")]))
    for at in data.draw(st.lists(st.integers(0, len(archive) - 1), max_size=8)):
        archive[at] = data.draw(st.integers(0, 255))
    for start in range(0, len(archive), 512):
        block = archive[start : start + 512]
        archive[start + 148 : start + 156] = b"%06o\0 " % (sum(block) - sum(block[148:156]) + 256)
    try:
        total = sum(len(content) for _, _, content in read(bytes(archive)))
    except BadArchive:
        return
    assert total <= len(archive)


def header(name: bytes, size: int, kind: bytes = b"0", number: bytes = b"") -> bytes:
    """A header that says what it is told to."""
    block = bytearray(512)
    block[: len(name)] = name
    block[124:136] = number or b"%011o\0" % size
    block[156:157] = kind
    block[148:156] = b"%06o\0 " % (sum(block) + 256)
    return bytes(block)


HOSTILE = {
    "a PAX header of 8 GiB": header(b"x", (8 << 30) - 1, b"x"),
    "a long name of 8 GiB": header(b"L", (8 << 30) - 1, b"L"),
    "header upon header": header(b"x", 0, b"x") * 100,
    "a negative size": header(b"f", 0, number=b"\xff" * 12),
    "a PAX record that is longer than all": header(b"x", 12, b"x") + b"99 path=abc\n".ljust(512, b"\0"),
    "a PAX record without end": header(b"x", 12, b"x") + b"0 path=abcd\n".ljust(512, b"\0"),
    "a PAX size of a thousand digits": header(b"x", 512, b"x") + (b"512 size=" + b"9" * 502 + b"\n"),
    "a map of holes": header(b"f", 0, b"S"),
    "a map of holes by PAX": header(b"x", 24, b"x") + b"24 GNU.sparse.major=1.0\n".ljust(512, b"\0") + header(b"f", 0),
    "no end": header(b"f", 0),
    "content cut off": header(b"f", 1 << 40, number=b"\x80" + (1 << 40).to_bytes(11, "big")) + b"x" * 512,
    "a wrong checksum": header(b"f", 0).replace(b"f", b"g", 1),
}


@pytest.mark.parametrize("archive", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_archive_is_refused(archive: bytes) -> None:
    """Whatever it claims, nothing is held or waited for that is not there."""
    with pytest.raises(BadArchive):
        read(archive)


def test_a_member_that_is_not_read_is_passed_over() -> None:
    """Its size may need more than octal digits, and is believed only as far as bytes come."""
    tar = Tar(pieces(packed([entry("a", b"x" * 5000), entry("b", b"y")])))
    assert [(member.name, member.kind) for member in tar] == [(b"a", FILE), (b"b", FILE)]
    assert read(END) == []
