"""Watching a task: each event once and in order, whatever Pub/Sub loses, repeats or brings late."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.adapters.memory_store import MemoryTaskStore
from orchestrator.client import Client
from orchestrator.codec import to_document
from orchestrator.errors import UnknownTask
from orchestrator.event import Event
from orchestrator.services import Services
from orchestrator.task import Task
from tests.support.tasks import BEGAN, finished
from tests.support.world import World

WHOLE = evolve(finished(), status=finished().history[-1].status)
EVENTS = Event.all_of(WHOLE)


class Lossy:
    """A bus that brings the scripted events and then nothing; before each of them the task moves on as the script says."""

    def __init__(self, store: MemoryTaskStore, script: list[tuple[int | None, int]]) -> None:
        self._store = store
        self._script = script

    def stored(self, seq: int) -> None:
        """The task as it is after ``seq`` moves."""
        history = [to_document({"row": entry})["row"] for entry in WHOLE.history[:seq]]
        status = history[-1]["status"] if history else "queued"
        document = {**self._store.find("t1"), "seq": seq, "status": status, "history": history}
        last = {name: to_document({name: getattr(WHOLE, name)})[name] for name in ("exit_code", "cause", "message")}
        self._store._save({**document, **(last if seq == len(WHOLE.history) else {})})

    @contextmanager
    def subscribe(self, _: str | None) -> Iterator[Iterator[Event | None]]:
        """See ports.EventBus."""
        yield self._heard()

    def _heard(self) -> Iterator[Event | None]:
        for heard, seq in self._script:
            self.stored(max(seq, heard or 0))
            yield None if heard is None else EVENTS[heard]
        while True:
            self.stored(len(WHOLE.history))
            yield None


def client(folder: Path, script: list[tuple[int | None, int]]) -> Client:
    """A client of an installation where the scripted things happen."""
    services = World(folder).services
    services.store.insert({"_id": "t1", "image": "busybox", "status": "queued", "seq": 0, "created_at": BEGAN})
    bus = Lossy(services.store, script)
    return Client(
        Services(services.settings, services.store, bus, services.queue, services.logs, services.engine, services.mutex)
    )


SEQS = st.integers(0, len(WHOLE.history))


@given(st.lists(st.tuples(st.none() | SEQS, SEQS), max_size=12), st.integers(-1, len(WHOLE.history) - 1))
def test_every_event_is_seen_once_and_in_order(script: list[tuple[int | None, int]], after: int) -> None:
    """Gaps are read from the store, repeats and late ones are passed over, and after the last one it ends."""
    growing, highest = [], 0
    for heard, seq in script:
        highest = max(highest, seq, heard or 0)
        growing.append((heard, highest))
    assert list(client(Path("unused"), growing).watch("t1", after)) == EVENTS[after + 1 :]


def test_watching_a_finished_task_tells_its_history(tmp_path: Path) -> None:
    """Whoever comes late, or again, hears the same."""
    world = World(tmp_path)
    task = world.client.submit({"image": "busybox"})
    world.worker().run(task.id)
    first, second = (list(world.client.watch(task.id)) for _ in range(2))
    assert first == second
    assert [event.seq for event in first] == [0, 1, 2, 3, 4]
    assert list(world.client.watch(task.id, 2)) == first[3:]


def test_watching_an_unknown_task_is_an_error(tmp_path: Path) -> None:
    """It would never end."""
    with pytest.raises(UnknownTask):
        next(World(tmp_path).client.watch("nobody"))


def test_what_is_watched_reads_as_what_is_stored() -> None:
    """The script of this file is a task that ended."""
    assert isinstance(WHOLE, Task)
    assert EVENTS[-1].is_last
