"""Whether the engine may have cut off the end of a container's output: after the exit, it waits a limited time for its buffers.

Each stream passes one buffer of the engine on its way to the log, and one on its way to each reader. A full buffer blocks the
stream. Engines from 20.10 to 28 behave in the same way. After the exit they wait for the bytes before the buffers, some of them
for at most ``_STREAM`` seconds. Then they wait ``_LOG`` seconds for the bytes in the buffer of the log.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from datetime import datetime, timedelta

from orchestrator.adapters.docker.client import DockerClient
from orchestrator.adapters.docker.demux import log_messages
from orchestrator.adapters.docker.log_dedup import GrowingLog
from orchestrator.ports import Chunk, ContainerState, Stream

CUT = "the engine was so slow with the output that it may have cut off its end"
BUFFER = 1_000_000
"""Bytes that a buffer takes before it blocks the stream. A stream with fewer bytes in all is never blocked."""
_FULL = BUFFER * 3 // 4
"""If so many bytes came after a cut, the buffer may have been full at the cut."""
_LATE = BUFFER // 16
"""The same for bytes of a log. Messages are slow to count, so the number is small."""
_STEP = BUFFER // 16
_STREAM, _LOG = timedelta(seconds=2), timedelta(seconds=10)
_CLOCK = timedelta(seconds=1)
"""The largest error of the engine's clock as this process knows it."""
_STALL = timedelta(seconds=5)
"""The longest time that the engine needs for one message of a log while more messages wait."""


class Pace:
    """The times at which the output of each stream came and ended, by the monotonic clock, as far as a cut needs them."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._total = dict.fromkeys(Stream, 0)
        self._steps = {stream: deque([0.0], _FULL // _STEP) for stream in Stream}
        self._ended = 0.0

    def add(self, chunks: Iterable[Chunk]) -> None:
        """Note output that has just come."""
        now = self._monotonic()
        for stream, data in chunks:
            before = self._total[stream]
            self._total[stream] += len(data)
            self._steps[stream].extend([now] * (self._total[stream] // _STEP - before // _STEP))

    def end(self) -> None:
        """No more comes."""
        self._ended = self._monotonic()

    @property
    def held_up(self) -> frozenset[Stream]:
        """The streams that may have been blocked."""
        return frozenset(stream for stream, total in self._total.items() if total >= BUFFER)

    def late(self, stream: Stream, moment: datetime, at: Callable[[float], datetime]) -> bool:
        """Whether so much output came after ``moment`` that its reader may have blocked it."""
        return at(self._steps[stream][0]) > moment

    def ended_by(self, moment: datetime, at: Callable[[float], datetime]) -> bool:
        """Whether the end came before ``moment``. ``at`` converts a monotonic time to the engine's time."""
        return at(self._ended) < moment


def of_stream(client: DockerClient, state: ContainerState, pace: Pace, at: Callable[[float], datetime]) -> frozenset[Stream]:
    """The streams whose end may be missing from a live output: they were blocked when the engine gave up on them."""
    streams = pace.held_up
    if not streams or state.finished_at is None:
        return frozenset()
    cut = state.finished_at + _STREAM
    if pace.ended_by(cut - _CLOCK, at):
        return frozenset()
    by_us = frozenset(stream for stream in streams if pace.late(stream, cut - _CLOCK, at))
    return by_us | _by_log(client, state.id, state.finished_at, state.now, streams)


def of_log(client: DockerClient, state: ContainerState, log: GrowingLog) -> frozenset[Stream]:
    """The streams whose end may be missing from a log that was read to its end. The container was seen exited in ``state``."""
    if state.finished_at is None or not log.last or written(log.last) < state.finished_at + _STREAM:
        return frozenset()
    if gave_up(state.finished_at, state.now, written(log.last)):
        return frozenset(Stream)
    streams = frozenset(stream for stream, size in log.sizes.items() if size >= _FULL)
    return _by_log(client, state.id, state.finished_at, state.now, streams) if streams else streams


def _by_log(
    client: DockerClient, name: str, finished: datetime, seen: datetime, streams: frozenset[Stream]
) -> frozenset[Stream]:
    """The ``streams`` that the log blocked or may have lost, by the messages that it wrote after the first cut."""
    sizes, stamp = dict.fromkeys(streams, 0), b""
    since = (finished + _STREAM).timestamp()
    with closing(log_messages(client, name, since=f"{since:.6f}")) as log:
        for messages in filter(len, log):
            stamp = messages.stamps[-1]
            for stream in streams:
                sizes[stream] += sum(map(len, messages.of(stream).texts))
            if min(sizes.values()) >= _LATE:
                break
    return streams if stamp and gave_up(finished, seen, written(stamp)) else full(sizes)


def gave_up(finished: datetime, seen: datetime, last: datetime) -> bool:
    """Whether the engine may have given up on the log of a program that ended at ``finished``.

    Not if it reported the exit before its time was up, because it closes the log before the report; ``seen`` is the time of the
    report. Not if the ``last`` message was written long before, because a log that is given up has messages up to that time.
    """
    return last >= finished + _LOG - _STALL and seen >= finished + _LOG - _CLOCK


def full(sizes: Mapping[Stream, int]) -> frozenset[Stream]:
    """The streams that a full buffer blocked before a cut, because so much of them was written after it."""
    return frozenset(stream for stream, size in sizes.items() if size >= _LATE)


def written(stamp: bytes) -> datetime:
    """The time at which a message was written."""
    return datetime.fromisoformat(stamp.decode())
