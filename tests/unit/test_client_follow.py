"""What a client is given that follows a task's output, whatever becomes of the connection, the attempt and the log."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path

import pytest
from attrs import evolve

from orchestrator.client import Client
from orchestrator.errors import InfrastructureError, UnknownTask
from orchestrator.output.following import Missed
from orchestrator.ports import LiveEntry, Part, Piece, Point, Stream
from orchestrator.task.event import Event
from orchestrator.testing import MemoryServices
from orchestrator.testing.event_bus import MemoryEventBus
from orchestrator.testing.programs import Program
from statemachine import State
from tests.support.world import World

OUT, ERR = Stream
TEXT = b"one\ntwo\nthree\n"
REQUEST = {"image": "busybox", "command": ["speak"]}


class Scripted:
    """Live output that is one script for each time that somebody follows: entries, or an error."""

    def __init__(self, *scripts: list[LiveEntry | Exception | None]) -> None:
        self.scripts = list(scripts)

    @contextmanager
    def follow(self, deployment: str, task_id: str, *, points: bool) -> Iterator[Iterator[LiveEntry | None]]:  # noqa: ARG002
        """The next script."""
        yield self._play(self.scripts.pop(0))

    @staticmethod
    def _play(script: list[LiveEntry | Exception | None]) -> Iterator[LiveEntry | None]:
        for entry in script:
            if isinstance(entry, Exception):
                raise entry
            yield entry


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A program that writes to both streams."""
    return World(tmp_path, {("speak",): Program(stdout=TEXT, stderr=b"oops", seconds=1.0)})


def _run(world: World, task_id: str = "t1") -> None:
    world.client.submit(REQUEST, task_id)
    world.worker().run(task_id)


def _client(world: World, *scripts: list[LiveEntry | Exception | None]) -> Client:
    return Client(evolve(world.services, live=Scripted(*scripts)))


def _text(items: list[Piece | Missed | Event], stream: Stream = OUT) -> bytes:
    return b"".join(item.data for item in items if isinstance(item, Piece) and item.stream is stream)


def _statuses(items: list[Piece | Missed | Event]) -> list[State]:
    return [item.status for item in items if isinstance(item, Event)]


ALL = [State.QUEUED, State.RUNNING, State.COLLECTING, State.UPLOADING, State.SUCCEEDED]
ONE, TWO = Piece(1, OUT, 0, TEXT[:4]), Piece(1, OUT, 4, TEXT[4:8])


def test_an_ended_task_is_followed_from_what_is_stored(world: World) -> None:
    """All events, all output, the end last."""
    _run(world)
    items = [*_client(world, []).follow("t1")]
    assert (_text(items), _text(items, ERR), _statuses(items)) == (TEXT, b"oops", ALL)
    assert isinstance(items[-1], Event)
    with pytest.raises(UnknownTask):
        [*_client(world).follow("t2")]


@pytest.mark.parametrize("seen", [0, 4, len(TEXT), 99])
def test_who_has_some_is_given_the_rest(world: World, seen: int) -> None:
    """Of each stream from its own offset on; and no event that was seen."""
    _run(world)
    items = [*_client(world, []).follow("t1", {OUT: seen, ERR: 4}, after_seq=3)]
    assert (_text(items), _text(items, ERR), _statuses(items)) == (TEXT[seen:], b"", ALL[-1:])


def test_what_was_seen_live_does_not_come_again(world: World) -> None:
    """The stored log begins where the live output stopped, after errors as well."""
    _run(world)
    store = world.services.store
    later = [*Event.all_of(world.client.get("t1"), -1, world.services.deployment)]
    away = InfrastructureError("redis", "away")
    client = _client(world, [ONE, away], [ONE, TWO, away], [*later])

    class Queued:
        """The store as it was before the task ran."""

        def __getattr__(self, name: str) -> object:
            return getattr(store, name)

        def find(self, task_id: str) -> object:
            document = store.find(task_id)
            return document and (
                document if len(client.services.live.scripts) < 1 else {**document, "history": [], "status": "queued"}
            )

    client.services.store = Queued()
    items = [*client.follow("t1")]
    assert (_text(items), _statuses(items)) == (TEXT, ALL)
    assert [item.data for item in items if isinstance(item, Piece) and item.stream is OUT] == [TEXT[:4], TEXT[4:8], TEXT[8:]]


def test_what_was_missed_is_told_and_follows(world: World) -> None:
    """With gaps it does not, and what came behind it is passed on at once."""
    _run(world)
    missed = Missed(1, OUT, 4, 4)
    script: list[LiveEntry | None] = [ONE, Piece(1, OUT, 8, TEXT[8:10]), None]
    for gaps, text in ((False, TEXT), (True, TEXT[:4] + TEXT[8:])):
        client = _client(world, [])
        client._entries = lambda _, **__: _with(script)  # type: ignore[method-assign]
        client._news = _once_idle(client)  # type: ignore[method-assign]
        items = [*client.follow("t1", gaps=gaps)]
        assert (_text(items), missed in items) == (text, True)


@contextmanager
def _with(script: list[LiveEntry | None]) -> Iterator[Iterator[LiveEntry | None]]:
    yield chain(script, [None])


def _once_idle(client: Client):  # noqa: ANN202
    """The store is heard of from the second time on that it is asked."""
    asked = iter([True])

    def news(task_id: str, seen: int, heard: Event | None) -> list[Event]:
        return [] if next(asked, False) else type(client)._news(client, task_id, seen, heard)

    return news


def test_output_is_followed_while_a_worker_runs_the_task(world: World) -> None:
    """From a thread beside it, over the bus of this process."""
    bus: MemoryEventBus = world.services.events._bus  # type: ignore[attr-defined]
    client = Client(evolve(world.services, live=bus.live))
    client.submit(REQUEST, "t1")
    items: list[Piece | Missed | Event] = []
    follower = threading.Thread(target=lambda: items.extend(client.follow("t1")))
    follower.start()
    world.worker().run("t1")
    follower.join(10)
    assert (_text(items), _text(items, ERR), _statuses(items)) == (TEXT, b"oops", ALL)


OTHER = {"image": "busybox", "command": ["other"]}


def test_a_task_whose_id_was_used_before_is_followed_from_its_own_begin() -> None:
    """Neither output nor events are those of the earlier one, which ended a moment ago."""
    services = MemoryServices({("speak",): Program(stdout=TEXT), ("other",): Program(stdout=b"new", exit_code=3)})
    client = services.client
    client.submit(REQUEST, "t1")
    services.run_queued()
    client.delete("t1")
    with services.events.subscribe("t1") as arriving:
        client.submit(OTHER, "t1")
        heard = next(arriving)
    assert heard is not None
    assert (heard.seq, heard.status) == (0, State.QUEUED)
    with services.working():
        items = [*client.follow("t1")]
    assert (_text(items), _statuses(items)) == (b"new", [*ALL[:-1], State.FAILED])


def test_a_deleted_task_leaves_nothing_to_follow() -> None:
    """Also when the event of the next one of its id cannot be published, or another program has inserted that."""
    services = MemoryServices({("speak",): Program(stdout=TEXT)})
    services.client.submit(REQUEST, "t1")
    services.run_queued()
    nonce = services.client.get("t1").nonce
    live, deployment = services.live, services.deployment
    assert live
    live.append(deployment, {"t1": [ONE], "t2": [ONE]}, 1000)
    assert services.removal.delete({"t1": nonce}) == {"t1"}
    assert [live.ends(deployment, task_id, 1) for task_id in ("t1", "t2")] == [{}, {OUT: ONE.end}]


def test_a_task_is_deleted_while_its_output_cannot_be_dropped() -> None:
    """Redis is away; it forgets the output by itself."""
    services = MemoryServices({("speak",): Program(stdout=TEXT)})
    services.client.submit(REQUEST, "t1")
    services.run_queued()

    class Away:
        """The live output, as it is then."""

        def drop(self, *_: object) -> None:
            raise InfrastructureError("redis", "away")

    services.live = Away()  # type: ignore[assignment]
    services.client.delete("t1")
    with pytest.raises(UnknownTask):
        services.client.get("t1")


def test_without_live_output_it_comes_at_the_end(world: World) -> None:
    """As with LIVE_OUTPUT 0, or services that have none."""
    _run(world)
    items = [*world.client.follow("t1")]
    assert (_text(items), _statuses(items)) == (TEXT, ALL)


def test_logs_that_were_removed_end_what_is_followed(world: World) -> None:
    """The task's events are still told."""
    _run(world)
    nonce = world.client.get("t1").nonce
    world.services.removal.strip({"t1": nonce}, Part.LOGS)
    items = [*world.client.follow("t1")]
    assert (_text(items), _statuses(items)) == (b"", ALL)


def test_points_come_for_those_who_ask(world: World) -> None:
    """As they were sent; those of an attempt that is over do not."""
    world.client.submit(REQUEST, "t1")
    points = [Point(2, 1.0, 50.0, 1000, 1), Point(1, 9.0, 1.0, 1, 1), Point(2, 2.0, 60.0, 1100, 2, read_bytes=7)]
    client = _client(world, [points[0], Piece(2, OUT, 0, b"x"), *points[1:]])
    seen = client.follow("t1", dict.fromkeys(Stream, 0), attempt=2, samples=True)
    assert [*islice((item for item in seen if isinstance(item, Point)), 2)] == [points[0], points[2]]
