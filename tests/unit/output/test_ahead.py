"""Output that is stored while it comes: what is sent, when, and what becomes of it when something goes wrong."""

import hashlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orchestrator.errors import STORAGE, InfrastructureError, Superseded
from orchestrator.output import ahead as ahead_module
from orchestrator.output.ahead import Ahead, AheadSender
from orchestrator.output.spool import Spool
from orchestrator.ports import Stream
from orchestrator.testing.object_store import MemoryObjectStore
from tests.support.fault_wait import until

PART = 10
OUT, ERR = Stream


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of ten bytes."""
    monkeypatch.setattr(ahead_module, "PART", PART)


class Counting(MemoryObjectStore):
    """Notes each call, and fails those that are to fail."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []
        self.away: set[str] = set()

    def begin_parts(self, key: str) -> str:
        """See ObjectStore."""
        self._note("begin")
        return super().begin_parts(key)

    def send_parts(self, *args: object, **more: object):  # noqa: ANN201
        """See ObjectStore."""
        self._note("send")
        return super().send_parts(*args, **more)  # type: ignore[arg-type]

    def complete_parts(self, *args: object) -> None:
        """See ObjectStore."""
        self._note("complete")
        super().complete_parts(*args)  # type: ignore[arg-type]

    def _note(self, call: str) -> None:
        self.calls.append(call)
        if call in self.away:
            raise InfrastructureError(STORAGE, "away")


def key_of(stream: Stream) -> str:
    """As a holder makes them."""
    return f"t/1/{stream}-token.log"


def noted(key: str) -> bool:
    """Any object may be begun."""
    return bool(key)


@pytest.fixture
def store() -> Counting:
    """An empty store."""
    return Counting()


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    """An open spool."""
    spool = Spool(tmp_path / "spool", 1000)
    spool.open()
    yield spool
    spool.close()


def following(store: Counting, spool: Spool, lost: Callable[[], bool] = lambda: False) -> Ahead:
    """What sends the spool, by hand."""
    return Ahead(store, spool, key_of, lost, noted)


def text(store: Counting, key: str) -> bytes:
    """What is stored."""
    return b"".join(store.get(key))


def test_a_stream_of_one_part_costs_no_call(store: Counting, spool: Spool) -> None:
    """It is left for the end of the program."""
    ahead = following(store, spool)
    spool.write(OUT, b"x" * PART)
    assert not ahead.send()
    assert ahead.finish(OUT, spool.seal(complete=True)[OUT]) == ""
    assert store.calls == []
    assert not ahead.left


@pytest.mark.parametrize("size", [PART + 1, 2 * PART, 2 * PART + 1, 5 * PART, 57])
def test_parts_are_sent_while_they_come_and_the_rest_at_the_end(store: Counting, spool: Spool, size: int) -> None:
    """The object is the whole stream, however long it is; nobody sees it before it is complete."""
    content = bytes(range(size))
    ahead = following(store, spool)
    for at in range(0, size, 3):
        spool.write(OUT, content[at : at + 3])
        ahead.send()
    assert store.calls == ["begin", *["send"] * ((size - 1) // PART)]
    assert list(store.listed()) == []
    sums = spool.seal(complete=True)
    assert ahead.finish(OUT, sums[OUT]) == key_of(OUT)
    assert text(store, key_of(OUT)) == content
    assert store.stat(key_of(OUT)) == (size, sums[OUT].sha256)
    assert not ahead.left


def test_both_streams_are_sent(store: Counting, spool: Spool) -> None:
    """Each to its own object."""
    ahead = following(store, spool)
    for stream in Stream:
        spool.write(stream, stream.encode() * PART)
    while ahead.send():
        pass
    sums = spool.seal(complete=True)
    for stream in Stream:
        assert text(store, ahead.finish(stream, sums[stream])) == stream.encode() * PART


def test_what_may_still_change_is_not_sent(store: Counting, tmp_path: Path) -> None:
    """Of a stream whose middle may be dropped only the head is sure."""
    spool = Spool(tmp_path / "spool", 60, tail=30)
    spool.open()
    ahead = following(store, spool)
    spool.write(OUT, b"h" * 30 + b"m" * 100 + b"t" * 30)
    while ahead.send():
        pass
    assert store.calls == ["begin", "send", "send"]
    sums = spool.seal(complete=True)
    stored = text(store, ahead.finish(OUT, sums[OUT]))
    assert stored == b"h" * 30 + b"\n[100 bytes dropped here]\n" + b"t" * 30
    assert hashlib.sha256(stored).hexdigest() == sums[OUT].sha256


def test_what_has_changed_on_the_disk_makes_no_object(store: Counting, spool: Spool) -> None:
    """What was sent before was another's bytes: the caller stores the spool as a whole."""
    ahead = following(store, spool)
    spool.write(OUT, b"x" * 25)
    ahead.send()
    sums = spool.seal(complete=True)
    path = spool.path(OUT)
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    assert ahead.finish(OUT, sums[OUT]) == ""
    assert list(store.listed()) == []
    assert ahead.left == {key_of(OUT)}
    assert ahead.strays == [key_of(OUT)]


@pytest.mark.parametrize("call", ["begin", "send"])
def test_storage_that_is_away_while_the_program_runs_costs_one_call(store: Counting, spool: Spool, call: str) -> None:
    """Then all of it is stored at the end."""
    store.away = {call}
    ahead = following(store, spool)
    spool.write(OUT, b"x" * 55)
    assert not ahead.send()
    store.away = set()
    assert not ahead.send()
    assert store.calls.count(call) == 1
    assert ahead.finish(OUT, spool.seal(complete=True)[OUT]) == ""
    assert ahead.left == {key_of(OUT)}


@pytest.mark.parametrize("call", ["send", "complete"])
def test_storage_that_is_away_at_the_end_leaves_it_to_the_caller(store: Counting, spool: Spool, call: str) -> None:
    """An answer to the last call may have been lost, so the object may be there."""
    ahead = following(store, spool)
    spool.write(OUT, b"x" * 25)
    ahead.send()
    store.away = {call}
    assert ahead.finish(OUT, spool.seal(complete=True)[OUT]) == ""
    assert ahead.strays == [key_of(OUT)]
    assert ahead.finish(OUT, spool.seal(complete=True)[OUT]) == ""


def test_a_repeat_of_the_end_gives_the_same_object(store: Counting, spool: Spool) -> None:
    """As when another object of the task could not be stored."""
    ahead = following(store, spool)
    spool.write(OUT, b"x" * 25)
    ahead.send()
    sums = spool.seal(complete=True)
    assert ahead.finish(OUT, sums[OUT]) == ahead.finish(OUT, sums[OUT]) == key_of(OUT)
    assert store.calls.count("complete") == 1


def test_who_has_lost_the_task_sends_nothing(store: Counting, spool: Spool) -> None:
    """Nor who was stopped."""
    spool.write(OUT, b"x" * 25)
    assert not following(store, spool, lambda: True).send()
    stopped = following(store, spool)
    stopped.stop()
    assert not stopped.send()
    assert store.calls == []


def test_who_loses_the_task_drops_what_was_begun(store: Counting, spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next holder may have looked before it was begun."""
    monkeypatch.setattr(ahead_module, "_INTERVAL", 0.01)
    lost = threading.Event()
    AheadSender(store).follow(spool, key_of, lost.is_set, noted, set())
    spool.write(OUT, b"x" * 25)
    until(lambda: store._begun)
    lost.set()
    until(lambda: not store._begun)
    assert "complete" not in store.calls


def test_an_object_is_begun_once_it_is_noted(store: Counting, spool: Spool) -> None:
    """Until it may be noted, nothing is begun. Where the note fails, all is stored at the end."""
    may, keys = [False], list[str]()
    ahead = Ahead(store, spool, key_of, lambda: False, lambda key: keys.append(key) or may[0])  # type: ignore[func-returns-value]
    spool.write(OUT, b"x" * 35)
    assert not ahead.send()
    assert store.calls == []
    may[0] = True
    assert ahead.send()
    assert ahead.send()
    assert keys == [key_of(OUT)] * 2


@pytest.mark.parametrize("error", [InfrastructureError("mongodb", "away"), Superseded("lost")])
def test_what_cannot_be_noted_is_not_begun(store: Counting, spool: Spool, error: Exception) -> None:
    """Nobody would find it. All is stored at the end."""

    def note(_: str) -> bool:
        raise error

    ahead = Ahead(store, spool, key_of, lambda: False, note)
    spool.write(OUT, b"x" * 35)
    assert not ahead.send()
    assert ahead.finish(OUT, spool.seal(complete=True)[OUT]) == ""
    assert store.calls == []
    assert ahead.left == set()


def test_to_stop_waits_for_what_an_earlier_spool_still_sends(store: Counting, spool: Spool) -> None:
    """Its objects have the same keys. Else they could be begun once they were dropped."""
    earlier = following(store, spool)
    later = Ahead(store, spool, key_of, lambda: False, noted, earlier.left, earlier)
    spool.write(OUT, b"x" * 35)
    while later.send():
        pass
    with earlier._sending:
        stopping = threading.Thread(target=later.stop)
        stopping.start()
        until(lambda: later._failed)
        assert stopping.is_alive()
    stopping.join()
    assert not earlier.send()


def test_what_an_earlier_spool_has_begun_stays_to_be_dropped(store: Counting, spool: Spool) -> None:
    """Though an object with that key is complete."""
    earlier = following(store, spool)
    spool.write(OUT, b"x" * 35)
    earlier.send()
    later = Ahead(store, spool, key_of, lambda: False, noted, earlier.left, earlier)
    later.send()
    assert later.finish(OUT, spool.seal(complete=True)[OUT]) == key_of(OUT)
    assert later.left == {key_of(OUT)}
    store.abort_parts(key_of(OUT))
    assert not store._begun
    assert text(store, key_of(OUT)) == b"x" * 35


def test_a_thread_sends_what_comes_and_ends_when_there_is_nothing(
    store: Counting, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It begins again with the next task."""
    monkeypatch.setattr(ahead_module, "_IDLE", 0.01)
    monkeypatch.setattr(ahead_module, "_INTERVAL", 0.01)
    sender = AheadSender(store)
    for _ in range(2):
        store.calls.clear()
        ahead = sender.follow(spool, key_of, lambda: False, noted, set())
        spool.write(OUT, b"x" * 25)
        until(lambda: "send" in store.calls)
        assert text(store, ahead.finish(OUT, spool.seal(complete=True)[OUT])) == bytes(b"x" * len(text(store, key_of(OUT))))
        until(lambda: sender._thread is None)
        spool.open()
