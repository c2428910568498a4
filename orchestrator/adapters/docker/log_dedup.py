"""Which messages of a log that is read again and again are new, though the engine drops its beginning when it is long."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from orchestrator.adapters.docker.demux import Messages
from orchestrator.ports import Stream

_EMPTY, _LINE, _SHARE = 26, 30, 64
_Mark = tuple[bytes, int]


class GrowingLog:
    """A log of driver ``local``. Parts of one line share their time stamp.

    ``keeps`` bytes are in the engine's files at least once the beginning was dropped. ``lost`` says that it may have been.
    ``sizes`` is what the last reading had of each stream.
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
        """The latest time stamp; empty when there is none."""
        return max((stamp for stamp, _ in self._marks.values()), default=b"")

    def new(self, log: Iterable[Messages]) -> Iterator[Messages]:
        """Those of ``log``, the messages that are in it now, that came after the last reading, which was to its end.

        They are counted, for the clock may have been set back; where the beginning is another one, the stamps have to do.
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
        """Whether the log has another beginning than it had. How much is new of a line longer than the log, nobody knows.

        Parts of one line may all be alike, so of a log that may have been cut such a beginning tells nothing.
        """
        stream, stamp, text = messages.streams[0], messages.stamps[0], messages.texts[0]
        moved = self._first not in {None, (stream, stamp, text)} or (self.lost and not text.endswith(b"\n"))
        self._first = (stream, stamp, text)
        if moved and marks.get(stream, _NONE)[0] == stamp and marks[stream][1] > 1:
            del marks[stream]
        return moved


def _behind(messages: Messages, marks: Mapping[Stream, _Mark], now: dict[Stream, _Mark]) -> Messages:
    """The messages that come after ``marks`` by their stamps."""
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
    """A message's stamp, and its number among those that share it."""
    return stamp, mark[1] + 1 if mark[0] == stamp else 1


def _at_most(texts: Sequence[bytes]) -> int:
    """Bytes that messages take in the engine's files; a newline is not kept. A part of a long line has more beside it."""
    sizes = [*map(len, texts)]
    empty = sizes.count(0) + sizes.count(1)
    size = sum(sizes) - sizes.count(1)
    return empty * _EMPTY + (len(sizes) - empty) * _LINE + size + size // _SHARE


_NONE: _Mark = (b"", 0)
