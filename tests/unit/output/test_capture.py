"""The output is read to its end, however often the connection is cut, and reading never holds up the program."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.cause import Cause
from orchestrator.errors import ContainerMissing, InfrastructureError, OutputLost
from orchestrator.outcome.series import Recording
from orchestrator.outcome.usage import UsageMeter
from orchestrator.output import capture
from orchestrator.output.capture import Capture, Watched
from orchestrator.output.ring_file import marker
from orchestrator.output.spool import Spool, sealed
from orchestrator.ports import Chunk, Sample, Stream
from tests.support.full_file import FullFile
from tests.support.worker_process import until
from tests.unit.output.captures import LONG, WHOLE, Scripted, cut, kept, watching


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pauses worth a test's time."""
    monkeypatch.setattr(capture, "_SETTLE", 0.01)
    monkeypatch.setattr(capture, "_LOOKS", (0.01,))
    monkeypatch.setattr(capture, "_PAUSE", 0.01)


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
    """Each byte once, after any number of cuts."""
    engine = Scripted(*reads)
    begun, spool = watching(tmp_path, engine, cut(*WHOLE[:1]))
    until(lambda: kept(spool) == (b"one two", b"err"))
    engine.exited.set()
    assert begun.finish(LONG)
    assert kept(spool) == (b"one two", b"err")


def test_a_cut_as_the_program_ends_is_a_cut(tmp_path: Path) -> None:
    """Its exit proves nothing of what was not read."""
    begun, spool = watching(tmp_path, Scripted(exits=True), cut(WHOLE[0]))
    until(lambda: kept(spool) == (b"one two", b"err"))
    assert begun.finish(LONG)


def test_output_with_a_hole_is_told_from_whole_output(tmp_path: Path) -> None:
    """When the container is gone before the rest could be read."""
    engine = Scripted(ContainerMissing("c"))
    begun, spool = watching(tmp_path, engine, cut(*WHOLE[:1]))
    assert not begun.finish(LONG)
    assert kept(spool) == (b"one ", b"")


def test_what_the_engine_has_lost_is_marked_and_not_read_for_again(tmp_path: Path) -> None:
    """The output is read to its end all the same, and only the stream in doubt is marked."""
    engine = Scripted(exits=True)

    def log() -> Iterator[Chunk]:
        yield from WHOLE
        raise OutputLost([Stream.STDOUT], "dropped")

    begun, spool = watching(tmp_path, engine, log())
    assert begun.finish(LONG)
    sums = spool.seal(complete=True)
    assert [sums[stream].truncated for stream in Stream] == [True, False]


def test_a_stream_cut_past_its_cap_is_read_to_its_end(tmp_path: Path) -> None:
    """The end of it is to be kept, and the other stream to be whole."""
    engine = Scripted()
    begun, spool = watching(tmp_path, engine, cut((Stream.STDOUT, b"one tw")), cap=4, tail=2)
    until(lambda: kept(spool)[1] == b"er")
    engine.exited.set()
    assert begun.finish(LONG)
    assert spool.seal(complete=True)[Stream.STDOUT].dropped == 3
    assert kept(spool) == (b"on" + marker(3) + b"wo", b"err")


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
    begun = Capture(
        Watched(engine, "c", spool, UsageMeter(), Recording(), engine.stopped.append, lambda _: False, lambda: None), chunks()
    )
    begun.begin()
    assert not begun.finish(LONG)
    assert taken == WHOLE


def _full(*_: object) -> bool:
    raise OSError(28, "No space left on device")


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
    begun = Capture(
        Watched(engine, "c", spool, UsageMeter(), Recording(), engine.stopped.append, lambda _: False, lambda: None),
        iter(WHOLE),
    )
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
    meter, recording = UsageMeter(), Recording()
    recording.begin(2)
    begun = Capture(
        Watched(engine, "c", spool, meter, recording, engine.stopped.append, lambda _: True, lambda: None), iter([])
    )
    begun.begin()
    until(lambda: engine.stopped)
    engine.exited.set()
    begun.finish(LONG)
    begun._sampling.join(LONG)
    assert meter.samples >= 1
    assert {(point.attempt, point.cpu_percent, point.memory_bytes) for point in recording.take()} == {(2, 50.0, 1000)}
    assert engine.stopped[0] is Cause.TIMEOUT
