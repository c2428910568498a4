"""A spool that keeps both ends of a stream and drops the middle."""

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import InvalidTask
from orchestrator.output.ring_file import UNCOUNTED, marker
from orchestrator.output.spool import Spool, sealed, take_over
from orchestrator.ports import Stream
from orchestrator.task.request import Rules, parse_request
from orchestrator.testing.programs import Program
from statemachine import State
from tests.support.world import World

OUT = Stream.STDOUT


def _spooled(folder: Path, cap: int, tail: int, parts: list[bytes]) -> tuple[Spool, bytes]:
    spool = Spool(folder, cap, tail)
    spool.open()
    for part in parts:
        assert spool.write(OUT, part)
    spool.seal(complete=True)
    return spool, spool.path(OUT).read_bytes()


@given(
    st.integers(1, 40),
    st.integers(1, 40),
    st.lists(st.binary(max_size=60), max_size=12),
)
def test_head_and_tail_are_kept_and_the_line_between_says_what_is_missing(
    tmp_path_factory: pytest.TempPathFactory, head: int, tail: int, parts: list[bytes]
) -> None:
    """To the byte, however the output comes in pieces; what fits is whole and has no line in it."""
    folder = tmp_path_factory.mktemp("spool")
    spool, kept = _spooled(folder, head + tail, tail, parts)
    whole = b"".join(parts)
    dropped = max(len(whole) - head - tail, 0)
    assert kept == (whole[:head] + marker(dropped) + whole[len(whole) - tail :] if dropped else whole)
    sums = sealed(folder)
    assert sums is not None
    assert (sums[OUT].bytes, sums[OUT].dropped, sums[OUT].truncated) == (len(kept), dropped, dropped > 0)
    assert sums[OUT].sha256 == hashlib.sha256(kept).hexdigest()
    assert (spool.overflowed, spool.exceeded) == (dropped > 0, False)


def test_sealing_again_changes_nothing(tmp_path: Path) -> None:
    """Collecting may be repeated."""
    spool, kept = _spooled(tmp_path, 20, 10, [b"abc" * 20])
    assert spool.seal(complete=True) == sealed(tmp_path)
    assert spool.path(OUT).read_bytes() == kept


@given(st.integers(1, 20), st.lists(st.binary(max_size=30), max_size=6))
def test_both_ends_that_a_dead_process_left_are_salvaged(
    tmp_path_factory: pytest.TempPathFactory, tail: int, parts: list[bytes]
) -> None:
    """What was not written over. Where the end of a stream began nobody knows then, nor how much is missing: a line says so."""
    folder, whole = tmp_path_factory.mktemp("spool"), b"".join(parts)
    dead = Spool(folder / "dead", 20 + tail, tail)
    dead.open()
    for part in parts:
        dead.write(OUT, part)
    dead.close()
    heir = Spool(folder / "heir", 20 + tail, tail)
    heir.salvage(folder / "dead")
    heir.salvage(folder / "dead")
    sums = heir.seal(complete=False)
    assert sums[OUT].truncated
    assert sums[OUT].dropped == 0
    expected = whole if len(whole) < 20 + tail else whole[:20] + UNCOUNTED
    assert heir.path(OUT).read_bytes() == expected


def test_what_was_sealed_with_a_hole_is_taken_over_as_it_is(tmp_path: Path) -> None:
    """With what was counted. A copy that is not what was sealed replaces nothing."""
    cut, _ = _spooled(tmp_path / "cut", 20, 10, [b"abc" * 20])
    sums = cut.seal(complete=False)
    assert take_over(tmp_path / "cut", tmp_path / "heir") is None
    assert take_over(tmp_path / "cut", tmp_path / "heir", whole=False) == sums == sealed(tmp_path / "heir")
    assert (sums[OUT].dropped, sums[OUT].complete) == (40, False)
    cut.path(OUT).write_bytes(b"changed")
    assert take_over(tmp_path / "cut", tmp_path / "heir", whole=False) is None
    assert sealed(tmp_path / "heir") == sums
    assert {file.name for file in (tmp_path / "heir").iterdir()} == {*Stream, "sealed.json"}


def test_output_that_comes_again_from_its_beginning_is_not_kept_twice(tmp_path: Path) -> None:
    """After a cut the spool goes on behind what it has."""
    spool = Spool(tmp_path, 20, 10)
    spool.open()
    spool.write(OUT, b"0123456789abcde")
    spool.catch_up([(OUT, b"0123456789abcdefghij"), (OUT, b"klm")])
    sums = spool.seal(complete=True)
    assert spool.path(OUT).read_bytes() == b"0123456789" + marker(3) + b"defghijklm"
    assert sums[OUT].dropped == 3


def test_a_closed_tail_takes_nothing_in_silence(tmp_path: Path) -> None:
    """Nor does a closed file."""
    spool, _ = _spooled(tmp_path, 20, 10, [b"0123456789"])
    with pytest.raises(ValueError, match="closed file"):
        spool.write(OUT, b"a")


def test_without_a_tail_the_program_is_to_be_ended(tmp_path: Path) -> None:
    """As ever."""
    spool = Spool(tmp_path, 10)
    spool.open()
    assert spool.write(OUT, b"x" * 10)
    assert not spool.write(OUT, b"x")
    spool.close()
    assert (spool.overflowed, spool.exceeded) == (True, True)


def test_a_task_may_go_on_past_its_output_limit(tmp_path: Path) -> None:
    """By its own choice: it succeeds, both ends are stored, and the record says what is missing."""
    world = World(tmp_path, {("program",): Program(stdout=b"a" * 50 + b"z" * 50)})
    request = {"image": "busybox", "command": ["program"], "limits": {"output": 20}, "on_output_limit": "drop_middle"}
    task = world.worker().run(world.client.submit(request).id)
    assert task
    assert task.logs
    assert (task.status, task.logs.stdout.dropped, task.logs.stdout.truncated) == (State.SUCCEEDED, 80, True)
    assert world.output(task, OUT) == b"a" * 10 + marker(80) + b"z" * 10
    assert not task.logs.stderr.truncated


def test_any_other_choice_is_refused() -> None:
    """With the two that there are."""
    with pytest.raises(InvalidTask, match=r"on_output_limit: 'wait' is not 'end' or 'drop_middle'"):
        parse_request("t1", {"image": "a", "on_output_limit": "wait"}, Rules())
