"""A capture that is given up touches its spool no more, and its output never counts as whole."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.errors import ContainerMissing, InfrastructureError
from orchestrator.output import capture
from orchestrator.output.spool import sealed
from orchestrator.ports import Chunk, Stream
from tests.support.worker_process import until
from tests.unit.output.captures import LONG, WHOLE, Scripted, cut, kept, watching


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pauses worth a test's time."""
    monkeypatch.setattr(capture, "_SETTLE", 0.01)
    monkeypatch.setattr(capture, "_LOOKS", (0.01,))
    monkeypatch.setattr(capture, "_PAUSE", 0.01)


def behind(gate: threading.Event) -> Iterator[Chunk]:
    """All of the output, once the gate is open."""
    gate.wait(LONG)
    yield from WHOLE


def test_after_the_finish_nothing_is_written(tmp_path: Path) -> None:
    """A reader that is stuck may wake up at any time."""
    engine, gate = Scripted(), threading.Event()

    def stuck() -> Iterator[Chunk]:
        yield WHOLE[0]
        gate.wait(LONG)
        yield WHOLE[2]

    begun, spool = watching(tmp_path, engine, stuck())
    until(lambda: kept(spool)[0] == b"one ")
    assert not begun.finish(0)
    gate.set()
    begun._pumping.join(LONG)
    assert kept(spool) == (b"one ", b"")


@pytest.mark.parametrize("tail", [0, 4])
@pytest.mark.parametrize(
    "late", [None, ContainerMissing("c"), InfrastructureError("docker", "away")], ids=["log", "gone", "away"]
)
def test_after_the_finish_the_spool_is_the_callers(tmp_path: Path, late: Exception | None, tail: int) -> None:
    """A pump that was held up by the engine may come back while the output is read again without it."""
    engine, asked, answered = Scripted(), threading.Event(), threading.Event()

    def read_log(_: str) -> Iterator[Chunk]:
        asked.set()
        answered.wait(LONG)
        if late:
            raise late
        return iter(WHOLE)

    engine.read_log = read_log
    begun, spool = watching(tmp_path, engine, cut(*WHOLE[:1]), cap=8, tail=tail)
    asked.wait(LONG)
    engine.exited.set()
    assert not begun.finish(0.01)

    def log() -> Iterator[Chunk]:
        yield Stream.STDOUT, b"one t"
        answered.set()
        begun._pumping.join(LONG)
        yield Stream.STDOUT, b"wo"
        yield WHOLE[1]

    spool.catch_up(log())
    sums = spool.seal(complete=True)
    assert kept(spool) == (b"one two", b"err")
    assert sealed(tmp_path) == sums


def test_what_was_given_up_is_not_whole_later(tmp_path: Path) -> None:
    """What the pump read since then is nowhere, though it came to its end."""
    engine, gate = Scripted(exits=True), threading.Event()
    begun, _ = watching(tmp_path, engine, behind(gate))
    assert not begun.finish(0)
    gate.set()
    begun._pumping.join(LONG)
    assert not begun.finish(LONG)


def test_what_comes_as_it_is_given_up_is_not_whole(tmp_path: Path) -> None:
    """However soon after it the pump comes to its end."""
    engine, gate = Scripted(exits=True), threading.Event()
    begun, _ = watching(tmp_path, engine, behind(gate))

    class Overtaken:
        """The lock, and as the task's own thread gives it back the pump comes to its end."""

        lock = begun._writing

        def __enter__(self) -> None:
            self.lock.acquire()

        def __exit__(self, *_: object) -> None:
            self.lock.release()
            if threading.current_thread() is not begun._pumping:
                gate.set()
                begun._pumping.join(LONG)

    begun._writing = Overtaken()
    assert not begun.finish(0)
    assert not begun._pumping.is_alive()
