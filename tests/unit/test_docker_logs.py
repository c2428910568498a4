"""A log whose beginning the engine drops while it is read again and again."""

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.adapters.docker_logs import Known
from orchestrator.ports import Chunk, Stream

OUT, ERR = Stream.STDOUT, Stream.STDERR


def message(number: int, stream: Stream = OUT) -> Chunk:
    """A line and its time."""
    return stream, b"2030-01-01T00:00:00.%09dZ line %d\n" % (number, number)


@given(
    st.lists(st.sampled_from(Stream), min_size=1, max_size=30),
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 10)), min_size=1, max_size=8),
)
def test_what_is_new_comes_once_whatever_was_dropped(streams: list[Stream], readings: list[tuple[int, int]]) -> None:
    """Each reading is of a later part of the log; only what was dropped before it was ever read is missing."""
    log = [message(number, stream) for number, stream in enumerate(streams)]
    known, start, end = Known(), 0, 0
    got: list[Chunk] = []
    expected: list[Chunk] = []
    for dropped, written in readings:
        before, end = end, min(end + written, len(log))
        start = min(start + dropped, end)
        got += known.beyond(iter(log[start:end]))
        expected += [(stream, text.partition(b" ")[2]) for stream, text in log[max(start, before) : end]]
    assert got == expected


def test_the_end_of_a_log_that_was_dropped_whole_is_read() -> None:
    """A count of bytes would skip as many of it as had been read before."""
    known = Known()
    assert len([*known.beyond(message(number) for number in range(100))]) == 100
    assert [*known.beyond(message(number) for number in range(150, 160))] == [
        (OUT, b"line %d\n" % number) for number in range(150, 160)
    ]
