"""Puts together what a follower has seen of a task's output: in order, no byte twice, and what is missing is told. Pure."""

from collections.abc import Iterator, Mapping

from attrs import evolve, frozen

from orchestrator.ports import Piece, Point, Stream
from orchestrator.task.event import Event


@frozen
class Missed:
    """``size`` bytes of a stream, from ``offset`` on, could not be sent while the program ran. They are in the stored log."""

    attempt: int
    stream: Stream
    offset: int
    size: int


class Position:
    """How far a follower is in each stream of an attempt, 0 for none yet; a later attempt begins at offset 0 again.

    With ``gaps`` a follower goes on behind what it missed. Without, a stream rests from there until its log is stored.
    """

    def __init__(self, offsets: Mapping[Stream, int] | None = None, attempt: int = 0, *, gaps: bool = False) -> None:
        self.attempt = attempt
        self._next = {**dict.fromkeys(Stream, 0), **(offsets or {})}
        self._gaps = gaps
        self._told: set[tuple[Stream, int]] = set()

    def at(self, stream: Stream) -> int:
        """The offset of the next byte."""
        return self._next[stream]

    def begin(self, attempt: int) -> None:
        """What comes is of this attempt."""
        if self.attempt and attempt > self.attempt:
            self._next = dict.fromkeys(Stream, 0)
            self._told.clear()
        self.attempt = max(self.attempt, attempt)

    def pass_on(self, point: Point) -> Iterator[Point]:
        """A point, unless it is of an attempt that is over."""
        if point.attempt >= self.attempt:
            yield point

    def take(self, piece: Piece) -> Iterator[Piece | Missed]:
        """What is new in a piece."""
        if piece.attempt < self.attempt:
            return
        self.begin(piece.attempt)
        stream, at = piece.stream, self._next[piece.stream]
        if piece.offset > at:
            if (stream, at) not in self._told:
                self._told.add((stream, at))
                yield Missed(piece.attempt, stream, at, piece.offset - at)
            if not self._gaps:
                return
            at = piece.offset
        if piece.end > at:
            self._next[stream] = piece.end
            yield evolve(piece, offset=at, data=piece.data[at - piece.offset :])


def news(heard: Event | None, seen: int, deployment: str) -> list[Event] | None:
    """The events after ``seen``, now that ``heard`` has come, or nothing for a while; None when the store has to be asked.

    Redis is shared: what another deployment says of a task with this id is passed over, and for what nobody has signed the
    store is asked.
    """
    if heard is None:
        return None
    if heard.seq <= seen or heard.deployment not in {"", deployment}:
        return []
    return [heard] if heard.deployment and heard.seq == seen + 1 else None
