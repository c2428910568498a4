"""An engine whose output and samples are scripted, and captures of them that have begun."""

import threading
from collections.abc import Iterator
from pathlib import Path

from orchestrator.cause import Cause
from orchestrator.errors import InfrastructureError
from orchestrator.outcome.series import Recording
from orchestrator.outcome.usage import UsageMeter
from orchestrator.output.capture import Capture, Watched
from orchestrator.output.spool import Spool
from orchestrator.ports import Chunk, ContainerState, Phase, Sample, Stream
from tests.support import pace
from tests.support.world import Clock

WHOLE = [(Stream.STDOUT, b"one "), (Stream.STDERR, b"err"), (Stream.STDOUT, b"two")]
LONG = pace.seconds(20.0)


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


def watched(engine: Scripted, spool: Spool) -> Watched:
    """What a capture needs to know of a program that is not late."""
    return Watched(engine, "c", spool, UsageMeter(), Recording(), engine.stopped.append, lambda _: False, lambda: None)


def watching(folder: Path, engine: Scripted, chunks: Iterator[Chunk], cap: int = 100, tail: int = 0) -> tuple[Capture, Spool]:
    """A capture that has begun."""
    spool = Spool(folder, cap, tail)
    spool.open()
    begun = Capture(watched(engine, spool), chunks)
    begun.begin()
    return begun, spool


def cut(*chunks: Chunk) -> Iterator[Chunk]:
    """A stream that is cut after these."""
    yield from chunks
    raise InfrastructureError("docker", "the stream was cut")


def kept(spool: Spool) -> tuple[bytes, bytes]:
    """Both files."""
    return spool.path(Stream.STDOUT).read_bytes(), spool.path(Stream.STDERR).read_bytes()
