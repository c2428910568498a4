"""Output and artifacts over HTTP: whole, in part, while they come, and once they are gone."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from urllib.parse import quote

import httpx
import pytest

from orchestrator.output.following import Missed
from orchestrator.ports import Part, Piece, Stream
from orchestrator.task.event import Event
from orchestrator.testing import MemoryServices, Program
from statemachine import State, Trigger
from tests.support.http_server import Served, served
from tests.support.tars import out

TEXT = b"one\ntwo\n"
SPEAK = {"image": "busybox", "command": ["speak"], "id": "t1"}
SHOUT = {"image": "busybox", "command": ["shout"], "id": "t1", "retries": 1}
NAME = 'a "b"/ü;.html'


@pytest.fixture
def ended(http: httpx.Client, services: MemoryServices) -> httpx.Client:
    """A task that has spoken."""
    http.post("/v1/tasks", json=SPEAK)
    services.run_queued()
    return http


def test_a_log_is_a_download(ended: httpx.Client) -> None:
    """Which no browser shows as a page."""
    answer = ended.get("/v1/tasks/t1/logs/stdout")
    assert (answer.status_code, answer.content) == (200, TEXT)
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["Content-Disposition"] == "attachment; filename*=UTF-8''t1.stdout"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in answer.headers["Content-Security-Policy"]
    assert ended.get("/v1/tasks/t1/logs/stderr").content == b"oops"
    head = ended.head("/v1/tasks/t1/logs/stdout")
    assert (head.headers["Content-Length"], head.content) == ("8", b"")
    assert ended.get("/v1/tasks/t1/logs/stdin").status_code == 404


@pytest.mark.parametrize(
    ("asked", "status", "content", "told"),
    [
        ("bytes=0-2", 206, b"one", "bytes 0-2/8"),
        ("bytes=4-", 206, b"two\n", "bytes 4-7/8"),
        ("bytes=-3", 206, b"wo\n", "bytes 5-7/8"),
        ("bytes=6-99", 206, b"o\n", "bytes 6-7/8"),
        ("bytes=-99", 200, TEXT, None),
        ("bytes=0-7", 200, TEXT, None),
        ("bytes=0-1,3-4", 200, TEXT, None),
        ("lines=0-1", 200, TEXT, None),
        ("bytes=-", 200, TEXT, None),
        ("bytes=8-", 416, None, "bytes */8"),
        ("bytes=5-4", 416, None, "bytes */8"),
        ("bytes=-0", 416, None, "bytes */8"),
    ],
)
def test_a_part_is_given(ended: httpx.Client, asked: str, status: int, content: bytes | None, told: str | None) -> None:
    """By Range, as RFC 9110 has it."""
    answer = ended.get("/v1/tasks/t1/logs/stdout", headers={"Range": asked})
    assert (answer.status_code, answer.headers.get("Content-Range")) == (status, told)
    assert content is None or answer.content == content


def test_a_part_of_something_else_is_not_given(ended: httpx.Client) -> None:
    """One who goes on with a download says what it is of."""
    tag = ended.get("/v1/tasks/t1/logs/stdout").headers["ETag"]
    for known, status in ((tag, 206), ('"other"', 200)):
        headers = {"Range": "bytes=4-", "If-Range": known}
        assert ended.get("/v1/tasks/t1/logs/stdout", headers=headers).status_code == status


def test_what_is_not_stored_is_told(http: httpx.Client, services: MemoryServices) -> None:
    """Before its end, of an attempt that there was not, and once it was removed."""
    http.post("/v1/tasks", json=SPEAK)
    early = http.get("/v1/tasks/t1/logs/stdout")
    assert (early.status_code, "it is queued" in early.json()["detail"]) == (409, True)
    services.run_queued()
    assert http.get("/v1/tasks/t1/logs/stdout?attempt=1").status_code == 200
    assert http.get("/v1/tasks/t1/logs/stdout?attempt=2").status_code == 409
    assert http.get("/v1/tasks/t1/logs/stdout?offset=2").status_code == 400
    services.removal.strip({"t1": services.client.get("t1").nonce}, Part.LOGS)
    gone = http.get("/v1/tasks/t1/logs/stdout")
    assert (gone.status_code, "kept for a time only" in gone.json()["detail"]) == (410, True)


def test_an_earlier_attempt_has_its_own_log(http: httpx.Client, services: MemoryServices) -> None:
    """By its number."""
    http.post("/v1/tasks", json={"image": "busybox", "command": ["fail"], "id": "t2", "retries": 1})
    services.run_queued()
    assert [http.get(f"/v1/tasks/t2/logs/stdout?attempt={n}").status_code for n in (1, 2, 3)] == [200, 200, 409]


@pytest.mark.parametrize("offset", [0, 3, 8, 99])
def test_a_stream_is_followed_as_bytes(http: httpx.Client, services: MemoryServices, offset: int) -> None:
    """From an offset to its end, before and after the task has run."""
    http.post("/v1/tasks", json=SPEAK)
    with services.working():
        for _ in range(2):
            assert http.get(f"/v1/tasks/t1/logs/stdout?follow=1&offset={offset}").content == TEXT[offset:]


@pytest.fixture
def retried(http: httpx.Client, services: MemoryServices) -> httpx.Client:
    """A task whose two attempts have printed the same."""
    http.post("/v1/tasks", json=SHOUT)
    services.run_queued()
    return http


def test_a_followed_stream_ends_with_its_attempt(http: httpx.Client, services: MemoryServices) -> None:
    """The answer says which one it is. The bytes of the next one are another stream."""
    http.post("/v1/tasks", json=SHOUT)
    with services.working():
        first = http.get("/v1/tasks/t1/logs/stdout?follow=1")
        second = http.get("/v1/tasks/t1/logs/stdout?follow=1&attempt=2")
    assert [(answer.content, answer.headers["Task-Attempt"]) for answer in (first, second)] == [(TEXT, "1"), (TEXT, "2")]


@pytest.mark.parametrize("attempt", [1, 2])
@pytest.mark.parametrize("offset", [0, 3, 8, 99])
def test_who_was_cut_off_goes_on_in_the_same_attempt(retried: httpx.Client, attempt: int, offset: int) -> None:
    """Also when another one has followed meanwhile: no byte is left out, and none comes twice."""
    answer = retried.get(f"/v1/tasks/t1/logs/stdout?follow=1&attempt={attempt}&offset={offset}")
    assert (answer.content, answer.headers["Task-Attempt"]) == (TEXT[offset:], str(attempt))


def test_without_an_attempt_it_is_the_present_one(retried: httpx.Client) -> None:
    """And one that was not begun yet cannot be followed."""
    assert retried.get("/v1/tasks/t1/logs/stdout?follow=1").headers["Task-Attempt"] == "2"
    later = retried.get("/v1/tasks/t1/logs/stdout?follow=1&attempt=3")
    assert (later.status_code, later.json()["detail"]) == (409, "attempt: 3 is not there, task 't1' is at attempt 2")


def test_an_attempt_that_left_no_log_cannot_be_followed(retried: httpx.Client, services: MemoryServices) -> None:
    """The infrastructure broke it, so what it printed is not stored."""
    (past,) = (services.store.find("t1") or {})["attempts"]
    services.store._change("t1", {"attempts": [past | {"logs": None}]}, lambda _: True)  # type: ignore[attr-defined]
    answer = retried.get("/v1/tasks/t1/logs/stdout?follow=1&attempt=1")
    assert (answer.status_code, "no stored log of attempt 1" in answer.json()["detail"]) == (409, True)


QUEUED_AGAIN = Event("t1", 2, Trigger.RETRY, State.RUNNING, State.QUEUED, datetime(2030, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize("ends", [QUEUED_AGAIN, Piece(2, Stream.STDOUT, 0, b"again"), Missed(2, Stream.STDOUT, 0, 5)])
@pytest.mark.parametrize("missed", [0, 4])
def test_an_attempt_that_is_broken_ends_its_stream(server: Served, ends: Event | Piece | Missed, missed: int) -> None:
    """Nothing of it is stored. If bytes are missing, the connection is cut, so that nobody takes it for whole."""
    items: list[object] = [Piece(1, Stream.STDERR, 0, b"no"), Piece(1, Stream.STDOUT, 0, b"one")]
    items += [Missed(1, Stream.STDOUT, 3, missed)] if missed else []

    class Told:
        """Follows what was noted."""

        async def follow(self, *_: object, **__: object) -> AsyncIterator[object]:
            """See AsyncClient."""
            for item in [*items, ends, Piece(2, Stream.STDOUT, 0, b"again")]:
                yield item

        async def close(self) -> None:
            """Nothing is open."""

    server.backend.__dict__["follower"] = Told()
    with server.client() as http:
        http.post("/v1/tasks", json=SHOUT)
        with http.stream("GET", "/v1/tasks/t1/logs/stdout?follow=1") as answer:
            whole = answer.iter_raw()
            if missed:
                with pytest.raises(httpx.RemoteProtocolError):
                    list(whole)
            else:
                assert b"".join(whole) == b"one"


def test_artifacts_are_listed_and_fetched() -> None:
    """By the path that they have, whatever is in it."""
    made = Program(out=out(**{NAME: b"<script>", "empty": b""}))
    services = MemoryServices({("make",): made})
    with served(services) as server, server.client() as http:
        http.post("/v1/tasks", json={"image": "busybox", "command": ["make"], "artifacts": ["."], "id": "t1"})
        services.run_queued()
        listed = http.get("/v1/tasks/t1/artifacts").json()
        assert sorted(each["path"] for each in listed["artifacts"]) == [NAME, "empty"]
        answer = http.get(f"/v1/tasks/t1/artifacts/{quote(NAME)}", headers={"Range": "bytes=1-6"})
        assert (answer.status_code, answer.content) == (206, b"script")
        assert answer.headers["Content-Disposition"] == "attachment; filename*=UTF-8''%C3%BC%3B.html"
        assert http.get("/v1/tasks/t1/artifacts/empty").content == b""
        for absent in ("nothing", "%2fempty", "/empty", "t1/empty", "empty/"):
            assert http.get(f"/v1/tasks/t1/artifacts/{absent}").status_code == 404
        services.removal.strip({"t1": services.client.get("t1").nonce}, Part.ARTIFACTS)
        assert http.get("/v1/tasks/t1/artifacts/empty").status_code == 410
        assert http.get("/v1/tasks/t1/artifacts").json()["removed_at"]


def test_the_figures_of_a_task_are_given(ended: httpx.Client) -> None:
    """As its document has them."""
    told = ended.get("/v1/tasks/t1/metrics").json()
    assert told["metrics"] == ended.get("/v1/tasks/t1").json()["metrics"]
    assert ended.get("/v1/tasks/t1/metrics?attempt=7").json()["series"] is None
