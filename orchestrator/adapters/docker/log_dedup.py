"""Finds the new messages of a log that is read repeatedly, although the engine drops the beginning of a long log."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from orchestrator.adapters.docker.demux import Messages
from orchestrator.ports import Stream

_EMPTY, _LINE, _SHARE = 26, 30, 64
_Mark = tuple[bytes, int]


class GrowingLog:
    """A log of driver ``local``. Parts of one line share their time stamp.

    After the beginning was dropped, the engine's files have at least ``keeps`` bytes. ``lost`` says that it may have been
    dropped. ``sizes`` has the bytes of each stream in the last reading.
    """

    def __init__(self, keeps: float) -> None:
        self.lost = False
        self.sizes = dict.fromkeys(Stream, 0)
        self._keeps = keeps
        self._first: tuple[Stream, bytes, bytes] | None = None
        self._count = 0
        self._marks: dict[Stream, _Mark] = {}

    @property
    def last(self) -> bytes:
        """The latest time stamp; empty if there is none."""
        return max((stamp for stamp, _ in self._marks.values()), default=b"")

    def new(self, log: Iterable[Messages]) -> Iterator[Messages]:
        """The messages of ``log`` that came after the last reading.

        ``log`` has all messages that are in it now, and the last reading was to the end. They are found by their number,
        because the clock may have been set back. If the beginning has changed, they are found by their stamps.
        """
        known, marks, now = self._count, dict(self._marks), dict[Stream, _Mark]()
        self._count, size, moved = 0, 0, False
        self.sizes = sizes = dict.fromkeys(Stream, 0)
        for messages in filter(len, log):
            if not self._count:
                moved = self._begins_elsewhere(messages, marks)
            behind = known - self._count
            self._count += len(messages)
            size += _at_most(messages.texts)
            for stream in Stream:
                sizes[stream] += sum(map(len, messages.of(stream).texts))
            fresh = _behind(messages, marks, now) if moved else messages.after(behind)
            if not moved:
                _count_on(messages, now)
            if len(fresh):
                yield fresh
        self._marks |= now
        self.lost = self.lost or moved or size >= self._keeps

    def _begins_elsewhere(self, messages: Messages, marks: dict[Stream, _Mark]) -> bool:
        """Whether the beginning of the log has changed. If a line is longer than the log, it is unknown how much of it is new.

        All parts of one line may be equal. So if the log may have been cut, such a beginning proves nothing.
        """
        stream, stamp, text = messages.streams[0], messages.stamps[0], messages.texts[0]
        moved = self._first not in {None, (stream, stamp, text)} or (self.lost and not text.endswith(b"\n"))
        self._first = (stream, stamp, text)
        if moved and marks.get(stream, _NONE)[0] == stamp and marks[stream][1] > 1:
            del marks[stream]
        return moved


def _behind(messages: Messages, marks: Mapping[Stream, _Mark], now: dict[Stream, _Mark]) -> Messages:
    """The messages after ``marks``, by their stamps."""
    chosen: list[bool] = []
    for stream, stamp in zip(messages.streams, messages.stamps, strict=True):
        now[stream] = _next(now.get(stream, _NONE), stamp)
        chosen.append(now[stream] > marks.get(stream, _NONE))
    return messages.chosen(chosen)


def _count_on(messages: Messages, now: dict[Stream, _Mark]) -> None:
    """Note the last stamp of each stream, and how many messages have it."""
    for stream in Stream:
        stamps = messages.of(stream).stamps
        if stamps:
            alike = next((n for n, stamp in enumerate(reversed(stamps)) if stamp != stamps[-1]), len(stamps))
            before, count = now.get(stream, _NONE)
            now[stream] = stamps[-1], alike + (count if alike == len(stamps) and before == stamps[-1] else 0)


def _next(mark: _Mark, stamp: bytes) -> _Mark:
    """A message's stamp, and its number among the messages with this stamp."""
    return stamp, mark[1] + 1 if mark[0] == stamp else 1


def _at_most(texts: Sequence[bytes]) -> int:
    """Bytes of messages in the engine's files, without the newlines. A part of a long line has more bytes of metadata."""
    sizes = [*map(len, texts)]
    empty = sizes.count(0) + sizes.count(1)
    size = sum(sizes) - sizes.count(1)
    return empty * _EMPTY + (len(sizes) - empty) * _LINE + size + size // _SHARE


_NONE: _Mark = (b"", 0)
