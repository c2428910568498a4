"""A log whose beginning the engine drops is read on behind what is known, and the loss is told."""

from collections.abc import Iterable, Iterator
from itertools import islice
from math import inf
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.adapters.docker.container_config import container_config, log_keeps
from orchestrator.adapters.docker.log_dedup import GrowingLog
from orchestrator.adapters.docker.logs import replay
from orchestrator.output.ring_file import marker
from orchestrator.output.spool import Spool
from orchestrator.ports import Chunk, Phase, Stream
from orchestrator.task.limits import Limits
from orchestrator.testing.engine import MemoryEngine
from tests.support.containers import Bench
from tests.unit.adapters.docker.engine_stub import Answer, Stage, apart, frame, seen, streams, together

OUT, ERR = Stream.STDOUT, Stream.STDERR
LOGS = "GET /containers/c1/logs"


def _new(log: GrowingLog, messages: Iterable[Chunk], at_once: int = 3) -> Iterator[Chunk]:
    """The new ones of these messages, of which so many come together."""
    rest = iter(messages)
    batches = iter(lambda: together(islice(rest, at_once)), together([]))
    return apart(log.new(batches))


def _line(number: int, stream: Stream = OUT) -> Chunk:
    return stream, b"%03d %d\n" % (number, number)


@given(
    st.lists(st.sampled_from(Stream), min_size=1, max_size=30),
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 10)), min_size=1, max_size=8),
    st.integers(1, 5),
)
def test_each_message_comes_once(streams: list[Stream], readings: list[tuple[int, int]], at_once: int) -> None:
    """However much was dropped and written between two readings, be it all that was there; what was dropped is told."""
    whole = [_line(number, stream) for number, stream in enumerate(streams)]
    log, start, end, began = GrowingLog(inf), 0, 0, set[int]()
    for fewer, more in readings:
        known, end = end, min(end + more, len(whole))
        start = min(start + fewer, end)
        assert list(_new(log, iter(whole[start:end]), at_once)) == whole[max(start, known) : end]
        began |= {start} if start < end else set()
    assert log.lost == (len(began) > 1)


def test_a_line_whose_first_parts_are_known_goes_on() -> None:
    """Its parts share a stamp, and are counted where the log begins before it."""
    log, parts = GrowingLog(inf), [(OUT, b"003 %d" % number) for number in range(4)]
    assert list(_new(log, [_line(1), _line(2), *parts[:2]])) == [_line(1), _line(2), *parts[:2]]
    assert list(_new(log, [_line(2), *parts, _line(4)])) == [*parts[2:], _line(4)]


def test_a_clock_that_is_set_back_hides_nothing() -> None:
    """Messages are counted as long as the log begins as before."""
    log, before, after = GrowingLog(inf), [_line(5), _line(6)], [_line(1), _line(2)]
    assert list(_new(log, before)) + list(_new(log, before + after)) == before + after
    assert not log.lost


def test_of_a_line_longer_than_the_log_all_is_handed_out() -> None:
    """Its parts have one stamp, so nobody knows how much of it is new; the end of it is right, and the doubt is told."""
    parts = [(OUT, b"001 %d" % number) for number in range(9)]
    log = GrowingLog(inf)
    assert list(_new(log, parts[:4])) + list(_new(log, parts[3:9])) == parts[:4] + parts[3:9]
    assert log.lost


def test_of_a_line_whose_parts_are_all_alike_the_end_comes() -> None:
    """Its beginning looks as before, though it was dropped: counting would skip what is new."""
    parts = [(OUT, b"001 0")] * 10
    log = GrowingLog(10 * 26)
    first = list(_new(log, parts))
    assert log.lost
    assert list(_new(log, [*parts[:6], _line(2)]))[-1] == _line(2)
    assert first == parts


@pytest.mark.parametrize(("lines", "lost"), [(3, False), (4, True)])
def test_a_log_as_long_as_the_engine_keeps_may_have_lost_its_beginning(lines: int, lost: bool) -> None:  # noqa: FBT001
    """Already when it is read for the first time: nothing in it says whether it begins with the first byte."""
    log = GrowingLog(4 * (30 + 6))
    list(_new(log, ((OUT, b"%03d 12345\n" % number) for number in range(lines))))
    assert log.lost is lost


def test_the_true_end_of_a_flood_is_kept(stage: Stage, tmp_path: Path) -> None:
    """By a spool that drops the middle, though the log did so, too; both streams are marked, for either may have a hole."""
    stub, engine = stage({LOGS: [_log(range(4)), _log(range(2, 6)), _log(range(20, 24))]})
    phases = iter([Phase.RUNNING, Phase.RUNNING, Phase.EXITED])
    spool = Spool(tmp_path / "spool", 8, 4)
    spool.catch_up(replay(engine._client, "c1", lambda _: seen(next(phases)), inf))
    sums = spool.seal(complete=True)
    assert spool.path(OUT).read_bytes() == b"0\n1\n" + marker(16) + b"\n23\n"
    assert [sums[stream].truncated for stream in Stream] == [True, True]
    assert stub.calls.count(LOGS) == 3


def _log(numbers: range) -> Answer:
    return streams(*(frame(1, _line(number)[1]) for number in numbers))


def test_how_much_is_kept_is_what_was_asked_for() -> None:
    """Of any other container nothing is known to be dropped."""
    plan = Bench(MemoryEngine()).plan("true", limits=Limits(output=1000))
    assert log_keeps(container_config(plan)) >= 2 * 26 * 1000
    assert log_keeps({}) == inf
