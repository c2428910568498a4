"""What is sent of a spool while a program writes into it, how much of it, and when nothing is."""

import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest

from orchestrator.errors import InfrastructureError
from orchestrator.metrics import declarations as metrics
from orchestrator.metrics.measurements import Measurements
from orchestrator.output import live as module
from orchestrator.output.live import LiveSender
from orchestrator.output.spool import Spool
from orchestrator.ports import Piece, Point, Stream
from orchestrator.testing.live_output import MemoryLiveOutput
from tests.support.worker_process import until

OUT, ERR = Stream
HOME = SimpleNamespace(id="d1")
LIMIT = 1 << 20


class Recorded(MemoryLiveOutput):
    """Notes each call, and fails as long as it is told to."""

    def __init__(self) -> None:
        super().__init__(0.02)
        self.calls: list[Mapping[str, Sequence[Piece | Point]]] = []
        self.asked: list[str] = []
        self.away = False

    def append(self, deployment: str, entries: Mapping[str, Sequence[Piece | Point]], limit: int) -> None:
        """Note it."""
        if self.away:
            raise InfrastructureError("redis", "away")
        self.calls.append(entries)
        super().append(deployment, entries, limit)

    def ends(self, deployment: str, task_id: str, attempt: int) -> Mapping[Stream, int]:
        """Note it."""
        self.asked.append(task_id)
        return super().ends(deployment, task_id, attempt)

    def pieces(self, task_id: str = "t1") -> list[Piece]:
        """All that was sent for a task."""
        return [each for call in self.calls for each in call.get(task_id, ()) if isinstance(each, Piece)]

    def text(self, stream: Stream = OUT, task_id: str = "t1") -> bytes:
        """Its bytes."""
        return b"".join(piece.data for piece in self.pieces(task_id) if piece.stream is stream)


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_IDLE", 0.05)


@pytest.fixture
def live() -> Recorded:
    """Where it is sent to."""
    return Recorded()


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    """An open spool."""
    spool = Spool(tmp_path / "spool", 100 << 20)
    spool.open()
    yield spool
    spool.close()


def test_what_a_program_writes_is_sent_while_it_runs(live: Recorded, spool: Spool) -> None:
    """Both streams, each with its offsets, in as few pieces as may be; after its end the rest follows."""
    writer = LiveSender(live, HOME, LIMIT).follow("t1", 2, spool, again=False)
    assert writer
    spool.write(OUT, b"one ")
    spool.write(ERR, b"oops")
    until(lambda: live.text() == b"one ")
    for _ in range(100):
        spool.write(OUT, b"x")
    writer.end()
    until(lambda: live.text() == b"one " + b"x" * 100)
    assert live.pieces()[:2] == [Piece(2, OUT, 0, b"one "), Piece(2, ERR, 0, b"oops")]
    assert len(live.pieces()) < 10


def test_a_program_that_ends_before_the_first_look_costs_nothing(live: Recorded, spool: Spool) -> None:
    """No call at all; its log is stored in a moment."""
    sender = LiveSender(live, HOME, LIMIT)
    short = sender.follow("short", 1, spool, again=False)
    spool.write(OUT, b"done\n")
    assert short
    short.end()
    sender.follow("long", 1, spool, again=False)
    until(lambda: live.text(task_id="long"))
    assert (live.text(task_id="short"), live.asked) == (b"", [])


def test_without_a_limit_nothing_is_sent(live: Recorded, spool: Spool) -> None:
    """Nor where nobody could follow."""
    assert LiveSender(live, HOME, 0).follow("t1", 1, spool, again=False) is None
    assert LiveSender(None, HOME, LIMIT).follow("t1", 1, spool, again=False) is None


def test_the_tasks_of_a_process_are_sent_together(live: Recorded, tmp_path: Path) -> None:
    """By one thread, and in one call for all that is new."""
    before = {*threading.enumerate()}
    sender, spools = LiveSender(live, HOME, LIMIT), [Spool(tmp_path / str(number), 100) for number in range(20)]
    for number, spool in enumerate(spools):
        spool.open()
        sender.follow(f"t{number}", 1, spool, again=False)
        spool.write(OUT, b"a")
    until(lambda: all(live.text(task_id=f"t{number}") == b"a" for number in range(20)))
    assert len(live.calls) < 10
    assert len({*threading.enumerate()} - before) == 1


def test_a_flood_is_skipped_and_its_end_is_sent(live: Recorded, spool: Spool) -> None:
    """What is too far behind is in the stored log; offsets tell how much. Never is more sent than can be kept."""
    spool.write(OUT, b"x" * (8 << 20))
    measured = Measurements()
    writer = LiveSender(live, HOME, LIMIT, measured).follow("t1", 1, spool, again=False)
    until(live.pieces)
    assert live.pieces()[0].offset == (8 << 20) - module._AT_ONCE
    assert writer
    spool.write(OUT, b"y" * LIMIT)
    writer.end()
    until(lambda: live.pieces()[-1].end == 9 << 20)
    assert live.text().endswith(b"y" * LIMIT)
    sent = sum(len(piece.data) for piece in live.pieces())
    until(lambda: measured.counted(metrics.LIVE_SENT) == {(): sent})
    assert measured.counted(metrics.LIVE_SKIPPED) == {(): (9 << 20) - sent}


def test_a_burst_that_can_be_kept_is_sent_whole(live: Recorded, spool: Spool) -> None:
    """A few pieces at each look."""
    text = bytes(range(256)) * 4096
    spool.write(OUT, text)
    LiveSender(live, HOME, LIMIT).follow("t1", 1, spool, again=False)
    until(lambda: live.text() == text)
    assert max(len(piece.data) for piece in live.pieces()) == module._PIECE


@pytest.mark.parametrize("limit", [1, 1000, 100_000, module._AT_ONCE - 1])
def test_however_little_can_be_kept_the_end_is_sent_once(live: Recorded, spool: Spool, limit: int) -> None:
    """A short output that cannot be kept, then as much again: no byte goes twice, and nothing stays away."""
    measured, text = Measurements(), bytes(range(256)) * (limit // 128 + 1)
    writer = LiveSender(live, HOME, limit, measured).follow("t1", 1, spool, again=False)
    assert writer
    for size in len(text), 2 * len(text):
        spool.write(OUT, text)
        until(lambda size=size: live.pieces() and live.pieces()[-1].end == size)
    writer.end()
    pieces = live.pieces()
    assert all(one.end <= other.offset for one, other in pairwise(pieces))
    assert pieces[0].offset == len(text) - limit
    assert all(piece.data == (2 * text)[piece.offset : piece.end] for piece in pieces)
    assert sum(len(piece.data) for piece in pieces) == 2 * limit


def test_who_goes_on_begins_where_another_stopped(live: Recorded, spool: Spool) -> None:
    """An adopted program's output is read from its beginning again."""
    live.append("d1", {"t1": [Piece(1, OUT, 0, b"abc")]}, LIMIT)
    LiveSender(live, HOME, LIMIT).follow("t1", 1, spool, again=True)
    spool.write(OUT, b"ab")
    until(lambda: live.asked)
    spool.write(OUT, b"cde")
    spool.write(ERR, b"new")
    until(lambda: live.text() == b"abcde" and live.text(ERR) == b"new")
    assert live.asked == ["t1"]


def test_what_could_not_be_sent_is_sent_later(live: Recorded, spool: Spool) -> None:
    """From where it stopped."""
    live.away = True
    LiveSender(live, HOME, LIMIT).follow("t1", 1, spool, again=False)
    spool.write(OUT, b"one ")
    spool.write(OUT, b"two")
    live.away = False
    until(lambda: live.text() == b"one two")


def test_of_what_the_middle_is_dropped_only_the_beginning_is_sent(live: Recorded, tmp_path: Path) -> None:
    """Where the rest is in the stored log is known at the end."""
    spool = Spool(tmp_path / "spool", 20, 10)
    spool.open()
    LiveSender(live, HOME, LIMIT).follow("t1", 1, spool, again=False)
    spool.write(OUT, b"0123456789abcdefghijklmnop")
    until(live.text)
    assert live.text() == b"0123456789"


def test_the_thread_ends_without_tasks_and_comes_back(live: Recorded, spool: Spool) -> None:
    """A process that runs nothing has one thread less. A spool that has gone does no harm."""
    sender = LiveSender(live, HOME, LIMIT)
    for task_id in ("t1", "t2"):
        writer = sender.follow(task_id, 1, spool, again=False)
        assert writer
        spool.write(OUT, b"x")
        until(lambda task_id=task_id: live.text(task_id=task_id))
        writer.end()
        until(lambda: sender._thread is None)
    gone = sender.follow("gone", 1, Spool(Path("/nowhere/at/all"), 10), again=False)
    assert gone
    gone.end()
    until(lambda: sender._thread is None)


def test_points_go_with_the_output_of_all_tasks(live: Recorded, spool: Spool, tmp_path: Path) -> None:
    """In the same call, and without output too; each is sent once. A short program's are not sent."""
    other = Spool(tmp_path / "other", 100)
    other.open()
    sender, noted = LiveSender(live, HOME, LIMIT), deque([Point(1, 1.0, 50.0, 1000, 1), Point(1, 2.0, 60.0, 1000, 1)])

    def points() -> list[Point]:
        return [noted.popleft() for _ in range(len(noted))]

    short = sender.follow("short", 1, other, again=False, points=lambda: [Point(1, 0.1, 0.0, 0, 0)])
    assert short
    short.end()
    writer = sender.follow("t1", 1, spool, again=False, points=points)
    assert writer
    until(lambda: live.latest(HOME.id, ["t1"]))
    noted.append(Point(1, 3.0, 70.0, 1000, 1))
    writer.end()
    until(lambda: live.latest(HOME.id, ["t1"])["t1"].t == 3.0)
    sent = [each.t for call in live.calls for each in call.get("t1", ()) if isinstance(each, Point)]
    assert (sent, len(live.calls)) == ([1.0, 2.0, 3.0], 2)
    assert live.latest(HOME.id, ["short"]) == {}
    other.close()
