"""Claims are kept alive by one heartbeat, given back in trouble, and lost without harm."""

import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from orchestrator.errors import InfrastructureError, Superseded
from orchestrator.execution.leases import Leases
from orchestrator.metrics import declarations as metrics
from orchestrator.metrics.measurements import Measurements
from orchestrator.ports import TaskStore
from orchestrator.task.document import Task
from tests.support import pace
from tests.support.faults import Fault, Process, When
from tests.support.world import World

REQUEST = {"image": "busybox"}


class Paced(Leases):
    """Leases whose heart beats when the test says so."""

    def _turning(self) -> list[threading.Thread]:
        """Leave it to the test."""
        return []

    def beat(self) -> None:
        """Both threads take their turn."""
        super().beat()
        self.hear()

    def beat_now(self) -> None:
        """Whenever the last beat was."""
        for held in self._all().values():
            held.until = float("-inf")
        self.beat()


class SlowStore:
    """A store that answers one method when the test says so, and counts renewals."""

    def __init__(self, store: TaskStore, slow: str = "renew") -> None:
        self._store, self._slow = store, slow
        self.asked, self.answers = threading.Event(), threading.Event()
        self.renewals = 0
        self.token = ""
        self.before_renewal: Callable[[], None] = lambda: None

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)

        def call(*args: Any) -> Any:
            if name == "claim":
                self.token = args[2]
            if name == "renew":
                self.before_renewal()
            if name == self._slow:
                self.asked.set()
                assert self.answers.wait(pace.seconds(60))
            self.renewals += name == "renew"
            return method(*args)

        return call


def made(folder: Path, *ids: str, process: Process | None = None) -> tuple[World, Paced]:
    """A world with these tasks, and the leases of one worker in it."""
    world = World(folder)
    for task_id in ids:
        world.client.submit(REQUEST, task_id)
    services = world.process(process)
    return world, Paced(services.store, "worker", 10.0, services.retrier)


def test_one_heartbeat_renews_all_that_is_held(tmp_path: Path) -> None:
    """However many tasks there are, it is one call."""
    process = Process()
    world, leases = made(tmp_path, "a", "b", process=process)
    with leases.hold("a", "e"), leases.hold("b", "e"):
        assert leases.count == 2
        world.clock.advance(9)
        leases.beat_now()
        world.clock.advance(9)
        assert all(world.services.store.claim(name, "other", "x", 10.0, "e") is None for name in ("a", "b"))
    assert process.calls["renew"] == 1
    assert leases.count == 0


def test_a_lease_that_was_renewed_of_late_is_left_alone(tmp_path: Path) -> None:
    """A third of its time is soon enough."""
    process = Process()
    _, leases = made(tmp_path, "a", process=process)
    with leases.hold("a", "e"):
        leases.beat_now()
        leases.beat()
        assert process.calls["renew"] == 1
        assert process.calls["cancelled"] == 2


def test_a_task_that_is_held_is_not_to_be_had(tmp_path: Path) -> None:
    """Not even by the same worker."""
    _, leases = made(tmp_path, "a")
    with leases.hold("a", "e") as first, leases.hold("a", "e") as second:
        assert first is not None
        assert second is None


def test_a_lost_lease_is_no_longer_renewed(tmp_path: Path) -> None:
    """Another worker has the task, so nothing of it is touched."""
    world, leases = made(tmp_path, "a")
    with leases.hold("a", "e"):
        world.expire_leases()
        world.services.store.claim("a", "other", "x", 10.0, "e")
        leases.beat_now()
        assert leases.count == 0
    assert Task.from_document(world.services.store.find("a") or {}).lease.token == "x"


def test_trouble_gives_the_lease_back_at_once(tmp_path: Path) -> None:
    """Nobody has to wait for it to run out."""
    world, leases = made(tmp_path, "a")
    with pytest.raises(ZeroDivisionError), leases.hold("a", "e"):
        raise ZeroDivisionError
    assert world.services.store.claim("a", "other", "x", 10.0, "e") is not None


def test_handing_over_frees_everything(tmp_path: Path) -> None:
    """The next worker goes on at once; the one that leaves renews nothing any more."""
    world, leases = made(tmp_path, "a", "b")
    with leases.hold("a", "e"), leases.hold("b", "e"):
        leases.hand_over()
        leases.beat_now()
        assert leases.count == 0
        assert all(world.services.store.claim(name, "other", name, 10.0, "e") for name in ("a", "b"))


def test_whoever_is_to_be_cancelled_is_told(tmp_path: Path) -> None:
    """By the next heartbeat, and nobody else is."""
    world, leases = made(tmp_path, "a", "b")
    told: list[str] = []
    with leases.hold("a", "e") as a, leases.hold("b", "e") as b:
        assert a is not None
        assert b is not None
        a.holder, b.holder = (SimpleNamespace(cancel=partial(told.append, name)) for name in "ab")
        world.services.store.request_cancel("b")
        leases.beat_now()
    assert told == ["b"]


def test_what_could_not_be_published_is_caught_up_with_to_the_first_that_still_cannot(tmp_path: Path) -> None:
    """Each may have to wait for a server that is away."""
    _, leases = made(tmp_path, "a", "b", "c")
    asked: list[str] = []

    def answers(name: str, answer: bool) -> bool:  # noqa: FBT001
        asked.append(name)
        return answer

    with leases.hold("a", "e") as a, leases.hold("b", "e") as b, leases.hold("c", "e") as c:
        assert a is not None
        assert b is not None
        assert c is not None
        a.holder, b.holder, c.holder = (SimpleNamespace(catch_up=partial(answers, name, name == "a")) for name in "abc")
        leases.catch_up()
    assert asked == ["a", "b"]


def test_a_lost_reply_to_a_claim_is_asked_for_again(tmp_path: Path) -> None:
    """The task must not be thought of as somebody else's."""
    process = Process([Fault("claim", 1, When.AFTER, InfrastructureError("mongodb", "reset"))])
    _, leases = made(tmp_path, "a", process=process)
    with leases.hold("a", "e") as held:
        assert held is not None


def test_a_lease_that_the_store_says_is_lost_is_counted_once(tmp_path: Path) -> None:
    """And each renewal is timed."""
    world = World(tmp_path)
    for task_id in ("a", "b"):
        world.client.submit(REQUEST, task_id)
    measured = Measurements()
    leases = Leases(world.services.store, "worker", 1000, world.process().retrier, measured)
    with leases.hold("a", "e") as a, leases.hold("b", "e") as b:
        assert a is not None
        assert b is not None
        world.services.store.let_go("a", a.token)
        for _ in range(2):
            a.until = b.until = float("-inf")
            leases.beat()
    assert measured.counted(metrics.LEASES_LOST) == {(): 1}
    assert sum(measured.observed(metrics.LEASE_RENEWAL)[()].counts) == 2


def test_a_lost_lease_is_counted_whoever_finds_it_first(tmp_path: Path) -> None:
    """A step that is refused may come before the next renewal."""
    world, _ = made(tmp_path, "t")
    measured = Measurements()
    leases = Leases(world.services.store, "worker", 1000, world.process().retrier, measured)
    with pytest.raises(Superseded), leases.hold("t", "engine"):
        raise Superseded("task t was taken over by another worker")
    assert measured.counted(metrics.LEASES_LOST) == {(): 1}


def test_a_fault_of_ours_with_one_task_lets_no_other_go(tmp_path: Path) -> None:
    """The heartbeat says so and goes on."""
    world = World(tmp_path)
    for task_id in ("a", "b"):
        world.client.submit(REQUEST, task_id)
    leases = Leases(world.services.store, "worker", 0.3, world.process().retrier)
    told, again = threading.Event(), threading.Event()

    def stumble() -> None:
        if told.is_set():
            again.set()
        told.set()
        raise TypeError("a bug")

    with leases.hold("a", "e") as a, leases.hold("b", "e"):
        assert a is not None
        a.holder = SimpleNamespace(cancel=stumble)
        world.services.store.request_cancel("a")
        assert again.wait(pace.seconds(20))
        assert leases.alive
        assert leases.count == 2


def test_a_renewal_on_its_way_lets_nothing_go(tmp_path: Path) -> None:
    """However long the store takes to answer, and although the lease has run out meanwhile: only its word counts."""
    world, leases = made(tmp_path, "a")
    with leases.hold("a", "e") as held:
        assert held is not None
        store = SlowStore(world.services.store)
        leases._store = store
        held.until = float("-inf")
        renewing = threading.Thread(target=leases.beat, daemon=True)
        renewing.start()
        assert store.asked.wait(pace.seconds(20))
        world.expire_leases()
        assert leases.holds("a")
        assert not held.lost.is_set()
        with leases.hold("a", "e") as again:
            assert again is None
        store.answers.set()
        renewing.join(pace.seconds(20))
        leases.check("a", held)
        assert store.renewals == 1


def test_cancellations_are_looked_for_apart(tmp_path: Path) -> None:
    """A store that takes its time over them delays no renewal."""
    world = World(tmp_path)
    world.client.submit(REQUEST, "a")
    process = SlowStore(world.services.store, slow="cancelled")
    leases = Leases(process, "worker", 0.3, world.process().retrier)
    with leases.hold("a", "e"):
        assert process.asked.wait(pace.seconds(20))
        seen = process.renewals
        deadline = time.monotonic() + pace.seconds(20)
        while process.renewals < seen + 2:
            assert time.monotonic() < deadline
        process.answers.set()


def test_a_claim_that_took_long_is_renewed_at_once(tmp_path: Path) -> None:
    """The heartbeat alone might come too late; one that another has by then is not held."""
    world, leases = made(tmp_path, "a", "b")
    process = SlowStore(world.services.store)
    process.answers.set()
    leases = Paced(process, "worker", 1e-9, world.process().retrier)
    with leases.hold("a", "e") as held:
        assert held is not None
        assert process.renewals == 1
    process.before_renewal = lambda: world.services.store.let_go("b", process.token)
    with leases.hold("b", "e") as held:
        assert held is None
    assert leases.count == 0


def test_a_holder_asks_once_its_lease_may_have_run_out(tmp_path: Path) -> None:
    """Before that nobody else can have the task; afterwards the store knows, and is asked no more once it has said no."""
    world, leases = made(tmp_path, "a")
    process = SlowStore(world.services.store)
    process.answers.set()
    with leases.hold("a", "e") as held:
        assert held is not None
        leases._store = process
        leases.check("a", held)
        assert process.renewals == 0
        held.until = float("-inf")
        leases.check("a", held)
        leases.check("a", held)
        assert process.renewals == 1
        world.expire_leases()
        world.services.store.claim("a", "other", "x", 10.0, "e")
        held.until = float("-inf")
        for _ in range(2):
            with pytest.raises(Superseded):
                leases.assure("a", held)
        assert process.renewals == 2
        assert leases.count == 0


def test_a_task_that_is_asked_for_is_work_begun(tmp_path: Path) -> None:
    """A slow database has a claim under way, which a worker that is told to leave does not leave behind."""
    world = World(tmp_path)
    world.client.submit(REQUEST, "t")
    slow: Any = SlowStore(world.services.store, "claim")
    leases = Paced(slow, "w", 60.0, world.services.retrier)
    assert not leases.busy
    held = []

    def take() -> None:
        with leases.hold("t", None) as found:
            held.append(found)

    thread = threading.Thread(target=take)
    thread.start()
    assert slow.asked.wait(pace.seconds(10))
    assert (leases.busy, leases.count) == (True, 0)
    slow.answers.set()
    thread.join(pace.seconds(10))
    assert held[0] is not None
    assert not leases.busy
