"""Output whose end the engine may have cut off is told from output that is whole."""

from datetime import UTC, datetime, timedelta
from math import inf
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.adapters.docker.client import DockerClient
from orchestrator.adapters.docker.log_end import BUFFER, Pace, gave_up
from orchestrator.adapters.docker.logs import replay
from orchestrator.errors import OutputLost
from orchestrator.ports import Phase, Stream
from tests.unit.adapters.docker.engine_stub import Answer, Stage, StubEngine, container, frame, raw, says, seen, streams

OUT, ERR = Stream.STDOUT, Stream.STDERR
FINISHED = datetime(2030, 5, 17, 12, tzinfo=UTC)
ATTACH, LOGS, INSPECT, INFO = "POST /containers/c1/attach", "GET /containers/c1/logs", "GET /containers/c1/json", "GET /info"
UPGRADED = b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
STREAM_WAIT, LOG_WAIT, STALL = 2.0, 10.0, 5.0
"""Seconds: the engine waits so long for streams and then for its log, and is stuck no longer with one message."""
PART = 16_000
passed = st.floats(0, 60)


def _after(seconds: float) -> datetime:
    return FINISHED + timedelta(seconds=seconds)


def _messages(at: float, size: int, kind: int = 1) -> list[bytes]:
    """That much of a stream, written to the log so long after the exit."""
    text = _after(at).isoformat().encode() + b" " + b"x" * (PART - 1) + b"\n"
    return [frame(kind, text)] * (size // PART)


def _read(folder: Path, told: float, *answers: Answer) -> tuple[int, frozenset[str], int]:
    """Bytes in a log whose program was told to have exited so late, the streams that may have lost some, and the readings."""
    size, lost = 0, frozenset[str]()
    with StubEngine(folder, {LOGS: list(answers)}) as stub:
        try:
            for _, text in replay(DockerClient(stub.url, 5), "c1", lambda _: seen(Phase.EXITED, FINISHED, told), inf):
                size += len(text)
        except OutputLost as error:
            lost = error.streams
        return size, lost, len(stub.calls)


def test_a_log_that_ends_with_its_program_is_whole(tmp_path: Path) -> None:
    """However late it is read, it is read once."""
    assert _read(tmp_path, 1000, streams(*_messages(1.9, BUFFER))) == (BUFFER // PART * PART, frozenset(), 1)


def test_a_log_that_was_written_until_the_engine_gave_up_may_lack_its_end(tmp_path: Path) -> None:
    """It goes on for as long as the engine waits, with however little; so nobody takes it for whole."""
    late = _messages(LOG_WAIT, PART)
    assert _read(tmp_path, LOG_WAIT, streams(*_messages(0, PART), *late), streams(*late))[1] == {OUT, ERR}


def test_a_log_that_was_whole_before_the_engine_would_give_up_is_whole(tmp_path: Path) -> None:
    """The engine tells the exit once it has closed the log, so one that is told early was closed early."""
    late = _messages(LOG_WAIT - STALL, PART)
    assert _read(tmp_path, LOG_WAIT - STALL, streams(*late), streams(*late))[1] == frozenset()


def test_a_stream_that_the_log_held_up_may_lack_its_end(tmp_path: Path) -> None:
    """What a full buffer held is written after the engine has cut the stream before it; the other stream is whole."""
    late = _messages(STREAM_WAIT, BUFFER, kind=2)
    assert _read(tmp_path, 4, streams(*_messages(0, PART), *late), streams(*late))[1] == {ERR}


def test_a_stream_that_fits_into_the_buffer_of_a_slow_log_is_whole(tmp_path: Path) -> None:
    """Nothing holds it up, so all of it is in the log, however slowly that was written."""
    late = _messages(4, BUFFER // 2)
    assert _read(tmp_path, 1000, streams(*_messages(0, PART), *late))[1:] == (frozenset(), 1)


def test_no_log_at_all_is_whole(tmp_path: Path) -> None:
    """As of a program that says nothing."""
    assert _read(tmp_path, 1000, streams()) == (0, frozenset(), 1)


@given(st.floats(0, STREAM_WAIT), passed, passed, st.floats(0, STALL), passed)
def test_an_engine_that_gave_up_on_a_log_is_never_believed(
    waited: float, slow: float, needed: float, stuck: float, later: float
) -> None:
    """Whatever it did before and however late it is asked; one that told the exit in time is."""
    began = slow + waited
    closed = began + min(needed, LOG_WAIT)
    judged = gave_up(FINISHED, _after(closed + later), _after(max(closed - stuck, 0)))
    if needed > LOG_WAIT:
        assert judged
    if closed + later < LOG_WAIT - 1:
        assert not judged


@given(st.lists(st.integers(0, BUFFER)), st.lists(st.integers(1, BUFFER // 3), min_size=1, max_size=30), st.booleans())
def test_a_reader_that_held_up_its_stream_knows_it(early: list[int], late: list[int], held: bool) -> None:  # noqa: FBT001
    """It got a full buffer after the engine gave up; one that got less than half of it had kept up."""
    at, clock = FINISHED.timestamp(), iter([0.0] * len(early) + [10.0] * 99)
    pace = Pace(lambda: next(clock))
    for size in early:
        pace.add([(OUT, bytes(size))])
    rest = BUFFER if held else BUFFER // 2
    for size in late:
        pace.add([(OUT, bytes(min(size, rest)))])
        rest -= min(size, rest)
    if held:
        pace.add([(OUT, bytes(rest))])
    pace.end()
    assert not pace.late(ERR, _after(5), lambda moment: datetime.fromtimestamp(at + moment, UTC))
    assert pace.late(OUT, _after(5), lambda moment: datetime.fromtimestamp(at + moment, UTC)) is held


def _live(stage: Stage, size: int, ended: float, logged: int, told: float) -> tuple[frozenset[str], int]:
    """The streams that may have lost some of a live output of that size, and how often the log was asked.

    It came in the first second and ended ``ended`` seconds after the exit; so much was in the log after the first cut.
    """
    flood = [frame(1, bytes(PART))] * (size // PART)
    script = {
        ATTACH: raw(UPGRADED, *flood),
        INSPECT: container("exited", FinishedAt=FINISHED.isoformat()),
        INFO: says(200, {"SystemTime": _after(ended).isoformat()}),
        LOGS: streams(*_messages(told, logged)),
    }
    stub, engine = stage(script)
    lost = frozenset[str]()
    try:
        assert sum(len(data) for _, data in engine.attach("c1", None)) == len(flood) * PART
    except OutputLost as error:
        lost = error.streams
    return lost, stub.calls.count(LOGS)


@pytest.mark.parametrize(
    ("size", "ended", "logged", "written", "expected"),
    [
        (BUFFER // 2, 60, BUFFER, 3, (frozenset(), 0)),
        (BUFFER + PART, 0.5, BUFFER, 3, (frozenset(), 0)),
        (BUFFER + PART, 3, BUFFER, 3, ({OUT}, 1)),
        (BUFFER + PART, 11, PART, 10, ({OUT}, 1)),
    ],
    ids=["too little to be held up", "ended in time", "held up by the log", "the log was given up as well"],
)
def test_live_output_that_the_log_held_up_may_lack_its_end(
    stage: Stage, size: int, ended: float, logged: int, written: float, expected: tuple[frozenset[str], int]
) -> None:
    """The engine waits for it so long and no longer; what it could not hold up costs no question."""
    assert _live(stage, size, ended, logged, written) == expected
