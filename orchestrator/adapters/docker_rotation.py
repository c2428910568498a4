"""Which messages of a log that is read again and again are new, though the engine drops its beginning when it is long."""

from collections.abc import Iterable, Iterator

from orchestrator.ports import Chunk, Stream

_EMPTY, _LINE, _SHARE = 26, 30, 64
_Mark = tuple[bytes, int]


class GrowingLog:
    """A log of driver ``local`` whose messages begin with a time stamp and a space; parts of one line share their stamp.

    ``keeps`` bytes are in the engine's files at least once the beginning was dropped. ``lost`` says that it may have been.
    ``sizes`` is what the last reading had of each stream.
    """

    def __init__(self, keeps: float) -> None:
        self.lost = False
        self.sizes = dict.fromkeys(Stream, 0)
        self._keeps = keeps
        self._first: Chunk | None = None
        self._count = 0
        self._marks: dict[Stream, _Mark] = {}

    @property
    def last(self) -> bytes:
        """The latest time stamp; empty when there is none."""
        return max((stamp for stamp, _ in self._marks.values()), default=b"")

    def new(self, messages: Iterable[Chunk]) -> Iterator[Chunk]:
        """Those of ``messages``, the log as it is now, that came after the last reading, which was to its end.

        They are counted, for the clock may have been set back; where the beginning is another one, the stamps have to do.
        """
        known, marks, now = self._count, dict(self._marks), dict[Stream, _Mark]()
        self._count, size, moved = 0, 0, False
        self.sizes = sizes = dict.fromkeys(Stream, 0)
        for stream, message in messages:
            stamp, _, text = message.partition(b" ")
            if not self._count:
                # parts of one line may all be alike, so of a log that may have been cut such a beginning tells nothing
                moved = self._first not in {None, (stream, message)} or (self.lost and not text.endswith(b"\n"))
                self._first = (stream, message)
                if moved and marks.get(stream, _NONE)[0] == stamp and marks[stream][1] > 1:
                    del marks[stream]  # of a line that is longer than the log nobody knows how much is new
            self._count += 1
            size += _at_most(text)
            sizes[stream] += len(text)
            now[stream] = _next(now.get(stream, _NONE), stamp)
            if now[stream] > marks.get(stream, _NONE) if moved else self._count > known:
                yield stream, message
        self._marks |= now
        self.lost = self.lost or moved or size >= self._keeps


def _next(mark: _Mark, stamp: bytes) -> _Mark:
    """A message's stamp, and its number among those that share it."""
    return stamp, mark[1] + 1 if mark[0] == stamp else 1


def _at_most(text: bytes) -> int:
    """Bytes that a message takes in the engine's files; its newline is not kept. A part of a long line has more beside it."""
    return _LINE + len(text) + len(text) // _SHARE if len(text) > 1 else _EMPTY


_NONE: _Mark = (b"", 0)
