"""What a follower makes of pieces that come twice, overlap, are missing, or belong to another attempt."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.output.following import Missed, Position
from orchestrator.ports import Piece, Stream

OUT, ERR = Stream
WHOLE = bytes(range(200))


def _of(start: int, end: int, attempt: int = 1) -> Piece:
    return Piece(attempt, OUT, start, WHOLE[start:end])


def _taken(position: Position, *pieces: Piece) -> list[Piece | Missed]:
    return [each for piece in pieces for each in position.take(piece)]


RANGES = st.lists(st.tuples(st.integers(0, 199), st.integers(1, 60)), max_size=30)


@given(ranges=RANGES, start=st.integers(0, 200))
def test_bytes_come_in_order_and_each_once(ranges: list[tuple[int, int]], start: int) -> None:
    """Whatever comes in which order: what is passed on is the stream from the start on, without a hole."""
    position = Position({OUT: start})
    taken = _taken(position, *(_of(at, min(at + size, 200)) for at, size in ranges))
    pieces = [each for each in taken if isinstance(each, Piece)]
    assert b"".join(piece.data for piece in pieces) == WHOLE[start : position.at(OUT)]
    assert [piece.offset for piece in pieces] == [start, *(piece.end for piece in pieces)][: len(pieces)]
    assert (position.at(ERR), all(pieces)) == (0, True)


@given(cuts=st.lists(st.integers(1, 199), max_size=10, unique=True), data=st.data())
def test_what_is_missing_is_told_and_follows_at_the_end(cuts: list[int], data: st.DataObject) -> None:
    """Once for each place. What comes behind it is left for the stored log, or with gaps is passed on at once."""
    edges = [0, *sorted(cuts), 200]
    pieces = [_of(*edge) for edge in itertools.pairwise(edges)]
    sent = [piece for piece in pieces if data.draw(st.booleans())]
    strict, gappy = Position(), Position(gaps=True)
    taken = _taken(strict, *sent)
    missed = [each for each in taken if isinstance(each, Missed)]
    ends = [0, *(piece.end for piece in sent)]
    first = next((piece.offset for piece, end in zip(sent, ends, strict=False) if piece.offset > end), None)
    end = strict.at(OUT)
    assert [each.offset for each in missed] == ([] if first is None else [end])
    assert _taken(strict, _of(end, 200)) == ([_of(end, 200)] if end < 200 else [])
    passed = _taken(gappy, *sent)
    assert [each for each in passed if isinstance(each, Piece)] == sent
    assert sum(each.size for each in passed if isinstance(each, Missed)) + sum(len(piece.data) for piece in sent) == gappy.at(
        OUT
    )


def test_another_attempt_begins_at_its_beginning() -> None:
    """What still comes of the one before is passed over."""
    position = Position()
    assert _taken(position, _of(0, 5), _of(0, 3, attempt=2), _of(5, 9), _of(3, 4, attempt=2)) == [
        _of(0, 5),
        _of(0, 3, attempt=2),
        _of(3, 4, attempt=2),
    ]
    assert position.at(OUT) == 4


def test_who_goes_on_says_of_which_attempt_the_offsets_are() -> None:
    """Earlier ones are passed over, and a later one begins at 0."""
    position = Position({OUT: 4}, attempt=2)
    assert _taken(position, _of(0, 9), _of(2, 6, attempt=2)) == [_of(4, 6, attempt=2)]
    position.begin(3)
    assert position.at(OUT) == 0


def test_an_empty_piece_is_nothing() -> None:
    """Nor is it an end."""
    assert _taken(Position(), _of(0, 0), _of(3, 3)) == [Missed(1, OUT, 0, 3)]
