"""The output is read to its end, however often the connection is cut, and reading never holds up the program."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator import capture
from orchestrator.capture import Capture, Watched
from orchestrator.cause import Cause
from orchestrator.errors import ContainerMissing, InfrastructureError
from orchestrator.ports import Chunk, ContainerState, Phase, Sample, Stream
from orchestrator.spool import Spool, sealed
from orchestrator.usage import Meter
from tests.support.full_file import FullFile
from tests.support.world import Clock

WHOLE = [(Stream.STDOUT, b"one "), (Stream.STDERR, b"err"), (Stream.STDOUT, b"two")]
LONG = 20.0


class Scripted:
    """An engine whose log is WHOLE; each ``read_log`` raises as told, or brings so many chunks and is cut."""

    def __init__(self, *reads: Exception | int, exits: bool = False) -> None:
        self.reads = list(reads)
        self.exited = threading.Event()
        self.stopped: list[Cause] = []
        self.samples: list[Sample] = []
        if exits:
            self.exited.set()

    def inspect(self, _: str) -> ContainerState:
        """Running until told."""
        phase = Phase.EXITED if self.exited.is_set() else Phase.RUNNING
        return ContainerState("c", phase, Clock()())

    def read_log(self, _: str) -> Iterator[Chunk]:
        """As scripted; the whole of it once the script is over."""
        read = self.reads.pop(0) if self.reads else None
        if isinstance(read, Exception):
            raise read
        return self._chunks(read)

    def _chunks(self, count: int | None) -> Iterator[Chunk]:
        yield from WHOLE[:count]
        if count is not None:
            raise InfrastructureError("docker", "cut")
        self.exited.wait(LONG)

    def stats(self, _: str) -> Iterator[Sample]:
        """As scripted."""
        yield from self.samples
        self.exited.wait(LONG)


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pauses worth a test's time."""
    monkeypatch.setattr(capture, "_SETTLE", 0.01)
    monkeypatch.setattr(capture, "_FIRST_SAMPLE", 0.01)


def watching(folder: Path, engine: Scripted, chunks: Iterator[Chunk], cap: int = 100, tail: int = 0) -> tuple[Capture, Spool]:
    """A capture that has begun."""
    spool = Spool(folder, cap, tail)
    spool.open()
    watched = Watched(engine, "c", spool, Meter(), engine.stopped.append, lambda _: False)
    begun = Capture(watched, chunks)
    begun.begin()
    return begun, spool


def kept(spool: Spool) -> tuple[bytes, bytes]:
    """Both files."""
    return spool.path(Stream.STDOUT).read_bytes(), spool.path(Stream.STDERR).read_bytes()


def until(condition) -> None:  # noqa: ANN001
    """Wait for something that comes about in another thread."""
    pause = threading.Event()
    for _ in range(2000):
        if condition():
            return
        pause.wait(0.01)
    raise AssertionError("it did not come about")


def test_a_stream_that_ends_with_the_program_is_whole(tmp_path: Path) -> None:
    """Nothing is read twice."""
    engine = Scripted(exits=True)
    begun, spool = watching(tmp_path, engine, iter(WHOLE))
    assert begun.finish(LONG)
    assert kept(spool) == (b"one two", b"err")


@pytest.mark.parametrize(
    "reads",
    [(), (1,), (2, 0, 1), (InfrastructureError("docker", "away"),), (InfrastructureError("docker", "away"), 1)],
    ids=["end", "cut", "cuts", "away", "both"],
)
def test_what_a_cut_has_cost_is_read_from_the_log(tmp_path: Path, reads: tuple[Exception | int, ...]) -> None:
    """Each byte once, after any number of cuts; a cut may look like an end."""
    engine = Scripted(*reads)
    begun, spool = watching(tmp_path, engine, iter(WHOLE[:1]))
    until(lambda: kept(spool) == (b"one two", b"err"))
    engine.exited.set()
    assert begun.finish(LONG)
    assert kept(spool) == (b"one two", b"err")


def test_output_with_a_hole_is_told_from_whole_output(tmp_path: Path) -> None:
    """When the container is gone before the rest could be read."""
    engine = Scripted(ContainerMissing("c"))
    begun, spool = watching(tmp_path, engine, iter(WHOLE[:1]))
    assert not begun.finish(LONG)
    assert kept(spool) == (b"one ", b"")


def test_a_stream_past_its_cap_ends_the_program_and_is_read_on(tmp_path: Path) -> None:
    """Once, and the program is never blocked by a reader that has stopped."""
    engine = Scripted(exits=True)
    taken = []

    def flood() -> Iterator[Chunk]:
        for number in range(50):
            taken.append(number)
            yield Stream.STDOUT, b"x" * 10

    begun, spool = watching(tmp_path, engine, flood(), cap=15)
    begun.finish(LONG)
    until(lambda: engine.stopped)
    assert engine.stopped == [Cause.OUTPUT_LIMIT]
    assert len(taken) == 50
    assert kept(spool)[0] == b"x" * 15


def test_a_disk_that_is_full_does_not_block_the_program(tmp_path: Path) -> None:
    """The rest is drained, and the output is known to have a hole."""
    engine = Scripted(exits=True)
    taken = []

    def chunks() -> Iterator[Chunk]:
        for chunk in WHOLE:
            taken.append(chunk)
            yield chunk

    spool = Spool(tmp_path, 100)
    spool.open()
    spool.write = _full
    begun = Capture(Watched(engine, "c", spool, Meter(), engine.stopped.append, lambda _: False), chunks())
    begun.begin()
    assert not begun.finish(LONG)
    assert taken == WHOLE


def _full(*_: object) -> bool:
    raise OSError(28, "No space left on device")


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
    begun, spool = watching(tmp_path, engine, iter(WHOLE[:1]), cap=8, tail=tail)
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

    def stuck() -> Iterator[Chunk]:
        gate.wait(LONG)
        yield from WHOLE

    begun, _ = watching(tmp_path, engine, stuck())
    assert not begun.finish(0)
    gate.set()
    begun._pumping.join(LONG)
    assert not begun.finish(LONG)


def test_what_comes_as_it_is_given_up_is_not_whole(tmp_path: Path) -> None:
    """However soon after it the pump comes to its end."""
    engine, gate = Scripted(exits=True), threading.Event()

    def stuck() -> Iterator[Chunk]:
        gate.wait(LONG)
        yield from WHOLE

    begun, _ = watching(tmp_path, engine, stuck())

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


def test_what_a_full_disk_has_cost_is_read_from_the_log(tmp_path: Path) -> None:
    """The part of a chunk that fitted is not there twice; nor does a disk that is broken for longer end the reading."""
    engine, rewinds = Scripted(), []
    spool = Spool(tmp_path, 100)
    spool.open()
    rewind, spool._files[Stream.STDOUT] = spool.rewind, FullFile(spool._files[Stream.STDOUT], [2])

    def rewind_later() -> None:
        rewinds.append(len(rewinds))
        if len(rewinds) == 1:
            _full()
        spool._files[Stream.STDOUT].room[0] = 100
        rewind()

    spool.rewind = rewind_later
    begun = Capture(Watched(engine, "c", spool, Meter(), engine.stopped.append, lambda _: False), iter(WHOLE))
    begun.begin()
    until(lambda: kept(spool) == (b"one two", b"err"))
    engine.exited.set()
    assert begun.finish(LONG)
    sums = spool.seal(complete=True)
    assert sealed(tmp_path) == sums
    assert kept(spool) == (b"one two", b"err")


def test_samples_are_taken_and_the_deadline_is_enforced(tmp_path: Path) -> None:
    """Also while the task's own thread is held up by a database that is away."""
    engine = Scripted()
    engine.samples = [Sample(50.0, 1000)]
    spool = Spool(tmp_path, 100)
    spool.open()
    meter = Meter()
    begun = Capture(Watched(engine, "c", spool, meter, engine.stopped.append, lambda _: True), iter([]))
    begun.begin()
    until(lambda: engine.stopped)
    engine.exited.set()
    begun.finish(LONG)
    begun._sampling.join(LONG)
    assert meter.samples >= 1
    assert engine.stopped[0] is Cause.TIMEOUT
