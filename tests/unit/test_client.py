"""Watching a task: each event once and in order, whatever Pub/Sub loses, repeats or brings late."""

import copy
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from orchestrator import client as client_module
from orchestrator.app import Services
from orchestrator.client import Client
from orchestrator.errors import InfrastructureError, UnknownTask
from orchestrator.ports import Stream
from orchestrator.retrying import Backoff
from orchestrator.settings.settings import Settings
from orchestrator.task.codec import to_document
from orchestrator.task.document import Task
from orchestrator.task.event import Event
from orchestrator.testing.programs import Program
from orchestrator.testing.task_store import MemoryTaskStore
from tests.support.faults import Fault, Guarded, Process, When
from tests.support.tars import out
from tests.support.tasks import BEGAN, finished
from tests.support.world import World

WHOLE = evolve(finished(), status=finished().history[-1].status)
HERE = "this deployment"
EVENTS = Event.all_of(WHOLE, deployment=HERE)


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
    own = Services(services.settings, services.store, bus, services.queue, services.logs, services.engine, services.lock)
    own.home = SimpleNamespace(id=HERE)
    return Client(own)


SEQS = st.integers(0, len(WHOLE.history))


@given(st.lists(st.tuples(st.none() | SEQS, SEQS), max_size=12), st.integers(-1, len(WHOLE.history) - 1))
def test_every_event_is_seen_once_and_in_order(script: list[tuple[int | None, int]], after: int) -> None:
    """Gaps are read from the store, repeats and late ones are passed over, and after the last one it ends."""
    growing, highest = [], 0
    for heard, seq in script:
        highest = max(highest, seq, heard or 0)
        growing.append((heard, highest))
    assert list(client(Path("unused"), growing).watch("t1", after)) == EVENTS[after + 1 :]


class Misled(Lossy):
    """A bus that first brings what is not so, from a sender that says it is ``deployment``."""

    def __init__(self, store: MemoryTaskStore, deployment: str) -> None:
        super().__init__(store, [])
        self._deployment = deployment

    def _heard(self) -> Iterator[Event | None]:
        self.stored(1)
        yield from (evolve(event, deployment=self._deployment, message="not so") for event in EVENTS[1:])
        yield from super()._heard()


@pytest.mark.parametrize("deployment", ["another", ""], ids=["foreign", "unsigned"])
def test_what_is_not_known_to_be_of_the_same_deployment_is_not_believed(tmp_path: Path, deployment: str) -> None:
    """Channels are shared by all that is on a Redis, and another deployment may have a task with the same id."""
    own = client(tmp_path, [])
    own.services.events = Misled(own.services.store, deployment)
    assert list(own.watch("t1")) == EVENTS


def test_watching_a_finished_task_tells_its_history(tmp_path: Path) -> None:
    """One that comes late, or again, hears the same."""
    world = World(tmp_path)
    task = world.client.submit({"image": "busybox"})
    world.worker().run(task.id)
    first, second = (list(world.client.watch(task.id)) for _ in range(2))
    assert first == second
    assert [event.seq for event in first] == [0, 1, 2, 3, 4]
    assert list(world.client.watch(task.id, 2)) == first[3:]


@contextmanager
def _broken_off(events: list[Event]) -> Iterator[Iterator[Event | None]]:
    """A subscription whose server goes away after these events."""

    def heard() -> Iterator[Event | None]:
        yield from events
        raise InfrastructureError("redis", "reset")

    yield heard()


class Ailing:
    """A bus whose subscriptions end one after the other as they are given; one that is an error cannot be had."""

    def __init__(self, *ends: list[Event] | InfrastructureError) -> None:
        self._ends = list(ends)
        self.asked = 0

    def subscribe(self, _: str | None) -> AbstractContextManager[Iterator[Event | None]]:
        """See ports.EventBus."""
        self.asked += 1
        end = self._ends.pop(0) if len(self._ends) > 1 else self._ends[0]
        if isinstance(end, InfrastructureError):
            raise end
        return _broken_off(end)


def _ailing(folder: Path, *ends: list[Event] | InfrastructureError, budget: float = 60.0) -> tuple[Ailing, World]:
    """An installation that has the whole task, on such a bus."""
    world = World(folder, settings=Settings(retry_budget=budget))
    world.services.store.insert({"_id": "t1", "image": "busybox", "status": "queued", "seq": 0, "created_at": BEGAN})
    bus = Ailing(*ends)
    world.services.events, world.services.home = bus, SimpleNamespace(id=HERE)
    return bus, world


AWAY = InfrastructureError("redis", "away")


def test_watching_outlasts_a_bus_that_goes_away_in_between(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What came meanwhile is read from the store, and nothing is told twice."""
    monkeypatch.setattr(client_module, "SUBSCRIPTION", Backoff(0.01, 0.01))
    bus, world = _ailing(tmp_path, EVENTS[1:3], AWAY, [])
    task = Lossy(world.services.store, [])
    task.stored(2)
    seen = []
    for event in world.client.watch("t1"):
        seen.append(event)
        if event.seq == 2:
            task.stored(len(WHOLE.history))
    assert seen == EVENTS
    assert bus.asked == 3


def test_watching_outlasts_a_store_that_goes_away_in_between(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the bus brings, the store is asked for what came before it."""
    monkeypatch.setattr(client_module, "SUBSCRIPTION", Backoff(0.01, 0.01))
    world = World(tmp_path)
    task = world.client.submit({"image": "busybox"})
    world.worker().run(task.id)
    process = Process([Fault("find", nth, When.BEFORE, InfrastructureError("mongodb", "away")) for nth in (1, 2)])
    world.services.store = Guarded(process, world.services.store)
    assert [event.seq for event in world.client.watch(task.id)] == [0, 1, 2, 3, 4]
    assert process.calls["find"] == 3


def test_watching_ends_with_an_error_when_a_server_stays_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After RETRY_BUDGET without a word, which is long enough to tell the caller."""
    monkeypatch.setattr(client_module, "SUBSCRIPTION", Backoff(0.01, 0.01))
    bus, world = _ailing(tmp_path, AWAY, budget=0.1)
    with pytest.raises(InfrastructureError, match="away"):
        next(world.client.watch("t1"))
    assert bus.asked > 1


def test_a_caller_that_takes_long_over_an_event_uses_up_no_patience(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was not the server that was silent."""
    clock = [0.0]
    monkeypatch.setattr(client_module, "time", SimpleNamespace(monotonic=lambda: clock[0], sleep=lambda _: None))
    bus, world = _ailing(tmp_path, EVENTS[1:2], AWAY, [], budget=60.0)
    task = Lossy(world.services.store, [])
    task.stored(1)
    seen = []
    for event in world.client.watch("t1"):
        seen.append(event)
        clock[0] += 1000
        if event.seq == 1:
            task.stored(len(WHOLE.history))
    assert seen == EVENTS
    assert bus.asked == 3


def test_watching_an_unknown_task_is_an_error(tmp_path: Path) -> None:
    """It would never end."""
    with pytest.raises(UnknownTask):
        next(World(tmp_path).client.watch("nobody"))


def test_what_is_watched_reads_as_what_is_stored() -> None:
    """The script of this file is a task that ended."""
    assert isinstance(WHOLE, Task)
    assert EVENTS[-1].is_last


@pytest.fixture
def others(tmp_path: Path) -> World:
    """A world with two finished tasks, each with a log and an artifact."""
    world = World(tmp_path, {(name,): Program(stdout=name.encode(), stderr=b"err", out=out(a=name.encode())) for name in "tu"})
    for name in "tu":
        world.client.submit({"image": "busybox", "command": [name], "artifacts": ["."]}, name)
        world.worker().run(name)
    return world


def test_a_stream_may_be_named_by_its_text(others: World) -> None:
    """And one that does not exist is an error, not the other one."""
    assert b"".join(others.client.logs("t", "stdout")) == b"t"
    assert b"".join(others.client.logs("t", "stderr")) == b"err"
    with pytest.raises(ValueError, match="stdin"):
        others.client.logs("t", "stdin")


@pytest.mark.parametrize("key", ["u/{}", "t2/../u/{}", "t2", "", "/t2/{}", "t2//{}", "t2/./u/{}", "t/{}"])
def test_the_object_of_another_task_is_not_followed(others: World, key: str) -> None:
    """An account that may write to a document could else read what every other task has left."""
    forged = copy.deepcopy(dict(others.services.store.find("u") or {})) | {"_id": "t2"}
    forged["logs"]["stdout"]["key"] = key.format(forged["logs"]["stdout"]["key"].removeprefix("u/"))
    forged["artifacts_stored"][0]["key"] = key.format(forged["artifacts_stored"][0]["key"].removeprefix("u/"))
    others.services.store.insert(forged)
    for read in (lambda: others.client.logs("t2", Stream.STDOUT), lambda: others.client.artifact("t2", "a")):
        with pytest.raises(UnknownTask, match="the document of task 't2' names an object that is not its own"):
            read()
