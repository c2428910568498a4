"""Server-sent events: all of them, in order, from where a viewer was; and viewers that do not keep up."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from typing import Any

import httpx
import pytest

from orchestrator.errors import InfrastructureError
from orchestrator.server.events import Broadcast, running
from orchestrator.task.event import Event
from orchestrator.testing import MemoryServices
from statemachine import State
from tests.support.http_server import Served

SPEAK = {"image": "busybox", "command": ["speak"], "id": "t1"}
ALL = ["queued", "running", "collecting", "uploading", "succeeded"]
Entry = dict[str, str]


def entries(lines: Iterator[str]) -> Iterator[Entry]:
    """The entries of a stream; comments are none."""
    entry: Entry = {}
    for line in lines:
        name, _, value = line.partition(": ")
        if line and name:
            entry[name] = value
        elif not line and entry:
            yield entry
            entry = {}


def _all(http: httpx.Client, path: str, **headers: str) -> list[Entry]:
    with http.stream("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()}) as answer:
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        return [*entries(answer.iter_lines())]


def _statuses(found: list[Entry]) -> list[str]:
    return [json.loads(each["data"])["status"] for each in found if each["event"] == "transition"]


def _text(found: list[Entry], stream: str = "stdout") -> bytes:
    pieces = [json.loads(each["data"]) for each in found if each["event"] == "piece"]
    return b"".join(base64.b64decode(piece["data"]) for piece in pieces if piece["stream"] == stream)


def test_every_event_comes_once_and_in_order(http: httpx.Client, services: MemoryServices) -> None:
    """While the task runs, and again when it has ended; the last entry is the end."""
    http.post("/v1/tasks", json=SPEAK)
    with services.working():
        found = _all(http, "/v1/tasks/t1/events")
    assert (_statuses(found), found[-1]["event"]) == (ALL, "end")
    assert [each["id"] for each in found[:-1]] == ["0", "1", "2", "3", "4"]
    assert json.loads(found[-2]["data"])["exit_code"] == 0
    assert _all(http, "/v1/tasks/t1/events") == found


@pytest.mark.parametrize(("seen", "statuses"), [("-1", ALL), ("1", ALL[2:]), ("3", ALL[4:]), ("4", []), ("99", [])])
def test_a_viewer_that_comes_back_goes_on(http: httpx.Client, services: MemoryServices, seen: str, statuses: list[str]) -> None:
    """Behind the event that it saw; one that saw all is given the end."""
    http.post("/v1/tasks", json=SPEAK)
    services.run_queued()
    found = _all(http, "/v1/tasks/t1/events", Last_Event_ID=seen)
    assert (_statuses(found), found[-1]["event"]) == (statuses, "end")


def test_output_is_followed_with_the_events(http: httpx.Client, services: MemoryServices) -> None:
    """Each byte once, and the last event last; from any entry on the rest is the same."""
    http.post("/v1/tasks", json=SPEAK)
    with services.working():
        found = _all(http, "/v1/tasks/t1/logs?follow=1")
    assert (_text(found), _text(found, "stderr"), _statuses(found)) == (b"one\ntwo\n", b"oops", ALL)
    assert [each["event"] for each in found[-2:]] == ["transition", "end"]
    whole = _all(http, "/v1/tasks/t1/logs?follow=1&gaps=0")
    assert _text(whole) == b"one\ntwo\n"
    for number, entry in enumerate(whole[:-1]):
        assert _all(http, "/v1/tasks/t1/logs?follow=1", Last_Event_ID=entry["id"]) == whole[number + 1 :]
        assert _all(http, f"/v1/tasks/t1/logs?follow=1&from={entry['id']}") == whole[number + 1 :]


def test_a_place_within_the_output_is_gone_on_from(http: httpx.Client, services: MemoryServices) -> None:
    """By its bytes."""
    http.post("/v1/tasks", json=SPEAK)
    services.run_queued()
    found = _all(http, "/v1/tasks/t1/logs?follow=1&from=1:4:2:3")
    assert (_text(found), _text(found, "stderr"), _statuses(found)) == (b"two\n", b"ps", ["succeeded"])


@pytest.mark.parametrize("path", ["/v1/tasks/t1/events", "/v1/tasks/t1/logs?follow=1"])
@pytest.mark.parametrize("place", ["x", "1:2", "1:2:3:x", "-1:0:0:0", "1:-1:0:0"])
def test_what_is_no_place_is_refused(http: httpx.Client, path: str, place: str) -> None:
    """Before the stream begins."""
    http.post("/v1/tasks", json=SPEAK)
    answer = http.get(path, headers={"Last-Event-ID": place})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "Last-Event-ID")


def test_output_is_asked_for_with_follow(http: httpx.Client) -> None:
    """Each stream that is stored has its own address."""
    http.post("/v1/tasks", json=SPEAK)
    for query in ("", "?follow=0", "?follow=1&from=x"):
        assert http.get(f"/v1/tasks/t1/logs{query}").status_code == 400


def test_the_events_of_all_tasks_are_told(http: httpx.Client, services: MemoryServices) -> None:
    """Those of this deployment, from when the viewer came."""
    with http.stream("GET", "/v1/events") as answer:
        lines = answer.iter_lines()
        assert next(lines) == ": listening"
        services.events.publish(Event.queued("other", services.store.now(), "elsewhere"))
        for name in ("a", "b"):
            services.client.submit({"image": "busybox"}, name)
        services.run_queued()
        found = entries(lines)
        told = [json.loads(next(found)["data"]) for _ in range(10)]
    assert [(each["task_id"], each["status"]) for each in told if each["seq"] == 0] == [("a", "queued"), ("b", "queued")]
    assert [each["status"] for each in told if each["task_id"] == "b"] == ALL


def test_a_viewer_that_went_away_is_forgotten(server: Served) -> None:
    """Nothing is kept for it."""
    with closing(server.connect()) as viewer:
        viewer.sendall(b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        heard = b""
        while b"listening" not in heard:
            heard += viewer.recv(4096)
        assert server.backend.broadcast.viewers == 1
    with server.client() as http:
        while server.backend.broadcast.viewers:
            assert http.get("/healthz").status_code == 200


def test_a_stream_that_is_cut_short_has_no_end(http: httpx.Client, server: Served) -> None:
    """The task has not ended, so its viewer comes back; the server stops here."""
    http.post("/v1/tasks", json=SPEAK)
    with http.stream("GET", "/v1/tasks/t1/events") as answer:
        found = entries(answer.iter_lines())
        assert next(found)["id"] == "0"
        server.server.should_exit = True
        assert [*found] == []


class Feed:
    """A feed with a script: events, or an error; then nothing comes."""

    def __init__(self, *script: Event | Exception | None) -> None:
        self._script = [*script]
        self.closed = False
        self.over = asyncio.Event()

    async def listen(self) -> AsyncIterator[Event | None]:
        """What is left of the script."""
        while self._script:
            each = self._script.pop(0)
            if isinstance(each, Exception):
                raise each
            yield each
        self.over.set()
        await asyncio.Event().wait()

    async def close(self) -> None:
        """Note it."""
        self.closed = True


def _event(number: int) -> Event:
    at = MemoryServices().store.now()
    return Event("t1", number, None, None, State.QUEUED, at)


def test_a_viewer_that_does_not_keep_up_is_dropped() -> None:
    """After what it could still take; the others are not held up."""

    async def view() -> tuple[list[Any], bool, bool]:
        events = [_event(0)] * 300
        feed = Feed(None, *events)
        broadcast = Broadcast(feed)
        with broadcast.view("t1") as slow, broadcast.view(None) as idle, broadcast.view("t2") as other:
            async with running(broadcast):
                await feed.over.wait()
            taken = [event async for event in slow.events()]
        assert (other.dropped, other.queue.qsize(), broadcast.viewers) == (False, 1, 0)
        return taken, slow.dropped, idle.dropped and feed.closed

    taken, dropped, closed = asyncio.run(view())
    assert (len(taken), dropped, closed) == (256, True, True)


def test_a_lost_connection_is_told_and_sought_again() -> None:
    """None in the queue says that events may be lost."""

    async def view() -> list[Event | None]:
        feed = Feed(None, _event(0), InfrastructureError("redis", "away"), None, _event(1))
        broadcast = Broadcast(feed)
        with broadcast.view("t1") as viewer:
            async with running(broadcast):
                await feed.over.wait()
                assert broadcast.listens
            return [viewer.queue.get_nowait() for _ in range(viewer.queue.qsize())]

    told = asyncio.run(view())
    assert [event and event.seq for event in told] == [None, 0, None, 1]


def test_what_was_lost_is_read_from_the_store(http: httpx.Client, server: Served, services: MemoryServices) -> None:
    """A viewer of a task sees each event, also when its subscription missed some."""
    http.post("/v1/tasks", json=SPEAK)
    with http.stream("GET", "/v1/tasks/t1/events") as answer:
        found = entries(answer.iter_lines())
        assert next(found)["id"] == "0"
        publish = services.events.publish
        services.events.publish = lambda event: publish(event) if event.is_last else None  # type: ignore[method-assign]
        services.run_queued()
        assert [each.get("id") for each in found] == ["1", "2", "3", "4", None]
    assert server.backend.broadcast.listens
