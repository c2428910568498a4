"""The spool keeps the first bytes of a stream, whatever the pieces they come in and however often they come."""

import hashlib
import tempfile
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

from hypothesis import example, given
from hypothesis import strategies as st

from orchestrator.output.ring_file import marker
from orchestrator.output.spool import Spool, sealed
from orchestrator.ports import Stream
from tests.support.full_file import FullFile

TEXT = st.binary(max_size=60)
CUTS = st.lists(st.integers(0, 60), max_size=6)


def pieces(text: bytes, cuts: list[int]) -> list[bytes]:
    """The text in pieces."""
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    return [text[start:end] for start, end in pairwise(edges)]


class ShortWriter:
    """A file that takes a few bytes at a time, as a raw file may."""

    def __init__(self, file) -> None:  # noqa: ANN001
        self._file = file

    def __getattr__(self, name: str):  # noqa: ANN204
        return getattr(self._file, name)

    def write(self, data: memoryview) -> int:
        """At most three bytes."""
        return self._file.write(data[:3])


@given(TEXT, TEXT, st.integers(0, 50), st.lists(st.tuples(st.integers(0, 60), CUTS), max_size=3), CUTS, st.booleans())
def test_the_file_is_the_first_bytes_of_the_stream(
    out: bytes,
    err: bytes,
    cap: int,
    cut_short: list[tuple[int, list[int]]],
    cuts: list[int],
    short: bool,  # noqa: FBT001
) -> None:
    """Also when the stream was cut and began again, any number of times; the sums are right and what came after is counted."""
    with tempfile.TemporaryDirectory() as name:
        spool = Spool(Path(name) / "spool", cap)
        spool.open()
        if short:
            spool._files = {stream: ShortWriter(file) for stream, file in spool._files.items()}
        for length, some in [*cut_short, (60, cuts)]:
            spool.rewind()
            for stream, text in ((Stream.STDOUT, out), (Stream.STDERR, err)):
                for piece in pieces(text[:length], some):
                    spool.write(stream, piece)
        sums = spool.seal(complete=True)
        for stream, text in ((Stream.STDOUT, out), (Stream.STDERR, err)):
            assert spool.path(stream).read_bytes() == text[:cap]
            assert sums[stream].bytes == len(text[:cap])
            assert sums[stream].sha256 == hashlib.sha256(text[:cap]).hexdigest()
            assert sums[stream].dropped == len(text) - len(text[:cap])
            assert sums[stream].truncated == (len(text) > cap)
        assert sealed(Path(name) / "spool") == sums
        assert spool.overflowed == (max(len(out), len(err)) > cap)


@example(bytes(range(30)), [], [7], 5, 0)
@example(bytes(range(30)), [], [7], 15, 8)
@given(TEXT, CUTS, CUTS, st.integers(0, 70), st.sampled_from([0, 8]))
def test_what_a_full_disk_took_of_a_chunk_does_no_harm(
    text: bytes, cuts: list[int], again: list[int], room: int, tail: int
) -> None:
    """Sealed without the rest it is a beginning whose sum is right; once there is room, it is as if there always had been."""
    with tempfile.TemporaryDirectory() as name:
        spool, left = Spool(Path(name), 20, tail), [room]
        spool.open()
        spool._files = {stream: FullFile(file, left) for stream, file in spool._files.items()}
        for ring in spool._tails.values():
            ring._file = FullFile(ring._file, left)
        with suppress(OSError):
            for piece in pieces(text, cuts):
                spool.write(Stream.STDOUT, piece)
        assert spool.seal(complete=False) == sealed(Path(name))
        assert spool.path(Stream.STDOUT).read_bytes()[: 20 - tail] == text[: spool.kept(Stream.STDOUT)]
        spool.catch_up((Stream.STDOUT, piece) for piece in pieces(text, again))
        sums = spool.seal(complete=True)
        assert sums == sealed(Path(name))
        lost = sums[Stream.STDOUT].dropped
        assert lost == max(len(text) - 20, 0)
        whole = text[: 20 - tail] + marker(lost) + text[len(text) - tail :] if tail and lost else text[:20]
        assert spool.path(Stream.STDOUT).read_bytes() == whole


@given(TEXT, st.integers(0, 60))
def test_what_a_dead_process_left_is_salvaged(text: bytes, length: int) -> None:
    """And completed from the whole output, if that comes once more."""
    with tempfile.TemporaryDirectory() as name:
        dead = Spool(Path(name) / "dead", 100)
        dead.open()
        dead.write(Stream.STDOUT, text[:length])
        dead.close()
        assert sealed(Path(name) / "dead") is None
        present = Spool(Path(name) / "present", 100)
        present.salvage(Path(name) / "dead")
        present.catch_up([(Stream.STDOUT, text)])
        present.seal(complete=True)
        assert present.path(Stream.STDOUT).read_bytes() == text


def test_a_seal_on_files_that_have_changed_does_not_count(tmp_path: Path) -> None:
    """Nothing corrupt is uploaded."""
    spool = Spool(tmp_path, 100)
    spool.open()
    spool.write(Stream.STDOUT, b"out")
    spool.seal(complete=True)
    spool.path(Stream.STDOUT).write_bytes(b"0ut")
    assert sealed(tmp_path) is None
