"""Sends the output of running programs to those who follow, beside the capture and never in its way.

One thread serves all tasks of the process. Ten times a second it looks how long each spool has become and reads the new bytes
from its files, so the capture pays nothing. When a program writes faster than is sent, the thread skips: all of it is stored.
"""

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from io import FileIO
from typing import Protocol

from attrs import define, field

from orchestrator import private_files as private
from orchestrator.errors import InfrastructureError
from orchestrator.log import logger
from orchestrator.metrics import declarations as metrics
from orchestrator.metrics.measurements import Measurements
from orchestrator.output.spool import Spool
from orchestrator.ports import LiveOutput, Piece, Point, Stream

_INTERVAL = 0.1
_PIECE = 1 << 16
_AT_ONCE = 4 * _PIECE
"""Bytes of a stream that are sent at one look while the program runs."""
_BATCH = 64
"""Pieces in one call."""
_IDLE = 10.0
"""Seconds without a task after which the thread ends; the next task starts another."""


class Home(Protocol):
    """Whose tasks these are."""

    @property
    def id(self) -> str:
        """The deployment. Raises InfrastructureError."""


@define(eq=False)
class LiveWriter:
    """What is sent of one attempt's spool. Made by ``LiveSender.follow``."""

    task_id: str
    attempt: int
    spool: Spool
    again: bool
    """Some of it may have been sent already, by another process or from an earlier spool."""
    points: Callable[[], Iterable[Point]]
    """What was noted of its use since the last call."""
    due: float
    """When to look, by the monotonic clock: a program that ends before costs nothing."""
    ended: bool = False
    began: bool = False
    """Something was sent."""
    _sent: dict[Stream, int] = field(factory=lambda: dict.fromkeys(Stream, 0))
    _files: dict[Stream, FileIO] = field(factory=dict)

    def pieces(self, limit: int) -> Iterator[Piece]:
        """What is new in the spool, a few pieces at a time; what is more than ``limit`` bytes behind is skipped.

        Raises OSError.
        """
        for stream in Stream:
            there = self.spool.kept(stream)
            behind = there - self._sent[stream]
            offset = there - min(limit, _AT_ONCE) if behind > limit else self._sent[stream]
            end = there if self.ended else min(there, offset + _AT_ONCE)
            while offset < end and (data := os.pread(self._file(stream), min(end - offset, _PIECE), offset)):
                yield Piece(self.attempt, stream, offset, data)
                offset += len(data)

    def note(self, entries: Sequence[Piece | Point]) -> int:
        """These were sent; how many bytes before them were skipped."""
        skipped = 0
        for entry in entries:
            self.began = True
            if isinstance(entry, Piece):
                skipped += max(entry.offset - self._sent[entry.stream], 0)
                self._sent[entry.stream] = entry.end
        return skipped

    def resume(self, live: LiveOutput, deployment: str) -> None:
        """Go on behind what was sent already. Raises InfrastructureError."""
        if self.again and any(self.spool.kept(stream) for stream in Stream):
            self._sent.update(live.ends(deployment, self.task_id, self.attempt))
            self.again = False

    def end(self) -> None:
        """The program has ended, or is watched no more: the rest is sent at the next look, unless nothing was sent yet."""
        self.ended = True

    def close(self) -> None:
        """Let go of the spool's files."""
        while self._files:
            self._files.popitem()[1].close()

    def _file(self, stream: Stream) -> int:
        if stream not in self._files:
            path = self.spool.path(stream)
            self._files[stream] = private.opened(path.parent, path.name, "rb")
        return self._files[stream].fileno()


class LiveSender:
    """The thread that sends; ``limit`` is how many bytes of each stream are kept to be followed, 0 for none."""

    def __init__(self, live: LiveOutput | None, home: Home, limit: int, measured: Measurements | None = None) -> None:
        self._live = live if limit else None
        self._home = home
        self._limit = limit
        self._measured = measured or Measurements()
        self._change = threading.Condition()
        self._writers: list[LiveWriter] = []
        self._thread: threading.Thread | None = None

    def follow(
        self,
        task_id: str,
        attempt: int,
        spool: Spool,
        *,
        again: bool,
        points: Callable[[], Iterable[Point]] = tuple,
    ) -> LiveWriter | None:
        """Send what comes into the spool, until its end, and points. With ``again`` some of it may have been sent before."""
        if self._live is None:
            return None
        writer = LiveWriter(task_id, attempt, spool, again, points, _next_look() + _INTERVAL)
        with self._change:
            self._writers.append(writer)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, args=(self._live,), name="live output", daemon=True)
                self._thread.start()
            self._change.notify()
        return writer

    def _run(self, live: LiveOutput) -> None:
        while self._await_due():
            writers = [writer for writer in self._writers if writer.due <= time.monotonic()]
            over = [writer for writer in writers if writer.ended]
            self._send(live, [writer for writer in writers if writer.began or not writer.ended])
            with self._change:
                self._writers = [writer for writer in self._writers if writer not in over]
            for writer in over:
                writer.close()

    def _await_due(self) -> bool:
        """Wait for the next look; False when there was no task for a while, which ends the thread."""
        with self._change:
            if not self._change.wait_for(lambda: self._writers, _IDLE):
                self._thread = None
                return False
            while (left := min(writer.due for writer in self._writers) - time.monotonic()) > 0:
                self._change.wait(left)
        return True

    def _send(self, live: LiveOutput, writers: Sequence[LiveWriter]) -> None:
        new: dict[LiveWriter, list[Piece | Point]] = {}
        for writer in writers:
            writer.due = _next_look()
            try:
                writer.resume(live, self._home.id)
                new[writer] = [*writer.pieces(self._limit), *writer.points()]
            except (OSError, InfrastructureError) as error:
                logger.debug("the output cannot be followed now: {}", error)
            if sum(len(entries) for entries in new.values()) >= _BATCH:
                self._append(live, new)
        self._append(live, new)

    def _append(self, live: LiveOutput, new: dict[LiveWriter, list[Piece | Point]]) -> None:
        """Send what was read; output that cannot be sent now is read again at the next look, as far as it is not skipped."""
        entries: dict[str, list[Piece | Point]] = {}
        for writer, read in new.items():
            entries.setdefault(writer.task_id, []).extend(read)
        try:
            if any(entries.values()):
                live.append(self._home.id, entries, self._limit)
        except InfrastructureError as error:
            logger.debug("the output cannot be followed now: {}", error)
        else:
            for writer, read in new.items():
                self._measured.count(metrics.LIVE_SKIPPED, by=writer.note(read))
                self._measured.count(metrics.LIVE_SENT, by=sum(len(each.data) for each in read if isinstance(each, Piece)))
        new.clear()


def _next_look() -> float:
    """The same moment for all tasks, so that one call sends what is new of all of them."""
    return (time.monotonic() // _INTERVAL + 1) * _INTERVAL
