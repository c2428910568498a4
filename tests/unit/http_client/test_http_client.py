"""The client over HTTP does what the client on the services does; each test is run with both."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator import Client
from orchestrator.errors import AmbiguousId, DuplicateTask, InvalidTask, NotEnded, SettingsError, UnknownTask
from orchestrator.http_client.blocking import HttpClient
from orchestrator.http_client.wire import Api
from orchestrator.output.following import Missed
from orchestrator.ports import Part, Piece, Stream
from orchestrator.server.tokens import Scope
from orchestrator.task.event import Event
from orchestrator.testing import MemoryServices, Program
from statemachine import State
from tests.support.http_server import served, some_tokens
from tests.support.tars import out

TEXT = b"one\ntwo\n"
SPEAK = {"image": "busybox", "command": ["speak"]}
ALL = [State.QUEUED, State.RUNNING, State.COLLECTING, State.UPLOADING, State.SUCCEEDED]
PROGRAMS = {
    ("speak",): Program(stdout=TEXT, stderr=b"oops", seconds=1.0, out=out(**{"a b": b"artifact"})),
    ("fail",): Program(exit_code=3),
}


@pytest.fixture
def services() -> MemoryServices:
    """With a program that speaks."""
    return MemoryServices(PROGRAMS)


@pytest.fixture(params=["services", "http"])
def client(request: pytest.FixtureRequest, services: MemoryServices, tmp_path: Path) -> Iterator[Client]:
    """One after the other."""
    if request.param == "services":
        yield services.client
        return
    tokens, texts = some_tokens(tmp_path)
    with served(services, tokens) as server, HttpClient(Api(server.url, texts[Scope.ADMIN]), 10.0) as client:
        yield client


def test_a_task_is_handed_in_and_read(client: Client, services: MemoryServices) -> None:
    """The same value from both, before and after it has run."""
    task = client.submit({**SPEAK, "artifacts": ["."], "retries": 1, "labels": {"a": "b"}}, "t1")
    assert task == services.client.get("t1") == client.get("t1")
    (ended,) = services.run_queued()
    assert client.get("t1") == services.client.get("t1")
    assert (ended.status, client.get("t1").metrics) == (State.SUCCEEDED, ended.metrics)
    assert client.submit(SPEAK).id != "t1"


def test_what_is_refused_is_refused_alike(client: Client, services: MemoryServices) -> None:
    """With the same errors and words."""
    with pytest.raises(InvalidTask) as raised:
        client.submit({"image": "NO", "limits": {"memory": "x"}})
    assert [problem.partition(":")[0] for problem in raised.value.problems] == ["image", "limits.memory"]
    client.submit(SPEAK, "t1")
    with pytest.raises(DuplicateTask):
        client.submit(SPEAK, "t1")
    with pytest.raises(DuplicateTask):
        client.submit({"image": "other"}, "t1")
    with pytest.raises(UnknownTask, match="there is no task 'nobody'"):
        client.get("nobody")
    with pytest.raises(UnknownTask):
        client.cancel("nobody")
    with pytest.raises(UnknownTask):
        next(client.logs("t1", "stdout"))
    with pytest.raises(NotEnded, match="has not ended"):
        client.delete("t1")
    with pytest.raises(UnknownTask):
        [*client.watch("nobody")]
    assert len(services.run_queued()) == 1


def test_many_tasks_are_handed_in(client: Client, services: MemoryServices) -> None:
    """Each for itself."""
    results = client.submit_many([SPEAK, {"image": "NO"}, SPEAK], ["a", None, "a"])
    assert [type(each).__name__ for each in results] == ["Task", "InvalidTask", "DuplicateTask"]
    assert len(services.run_queued()) == 1


def test_lists_and_ids(client: Client, services: MemoryServices) -> None:
    """Filtered and paged, and by the beginning of an id."""
    for number in range(5):
        client.submit({**SPEAK, "labels": {"n": str(number % 2)}}, f"abcd{number}")
    services.run_queued()
    client.submit({"image": "other"}, "other")
    assert client.list() == services.client.list()
    assert len(client.list(State.SUCCEEDED, 2)) == 2
    assert [task.id for task in client.list(labels={"n": "1"}, image="busybox")] == ["abcd3", "abcd1"]
    assert [task.id for task in client.list(limit=2, after="abcd2")] == ["abcd1", "abcd0"]
    assert client.list(after="nobody") == client.list(until=client.get("abcd0").created_at) == []
    assert client.list(since=client.get("abcd4").created_at, status=State.SUCCEEDED)[0].id == "abcd4"
    assert [client.id_of(given) for given in ("othe", "oth", "abcd0", "not that")] == ["other", "oth", "abcd0", "not that"]
    with pytest.raises(AmbiguousId, match="abcd0, abcd1, abcd2"):
        client.id_of("abcd")


def test_a_task_is_followed(client: Client, services: MemoryServices) -> None:
    """While it runs, again, and from where one was."""
    client.submit(SPEAK, "t1")
    with services.working():
        items = [*client.follow("t1")]
        events = [*client.watch("t1")]
    assert [item.status for item in items if isinstance(item, Event)] == [event.status for event in events] == ALL
    for stream, text in ((Stream.STDOUT, TEXT), (Stream.STDERR, b"oops")):
        assert b"".join(item.data for item in items if isinstance(item, Piece) and item.stream is stream) == text
    assert events == Event.all_of(services.client.get("t1"), -1, services.deployment)
    rest = [*client.follow("t1", {Stream.STDOUT: 4, Stream.STDERR: 4}, after_seq=3)]
    assert rest[0] == Piece(1, Stream.STDOUT, 4, b"two\n")
    assert len(rest) == 2
    assert [event.seq for event in client.watch("t1", 2)] == [3, 4]
    assert not [item for item in items if isinstance(item, Missed)]


def test_what_is_stored_is_read(client: Client, services: MemoryServices) -> None:
    """From an offset, of an attempt, until it is removed."""
    client.submit({**SPEAK, "artifacts": ["."]}, "t1")
    client.submit({"image": "busybox", "command": ["fail"], "retries": 1}, "t2")
    services.run_queued()
    assert b"".join(client.logs("t1", "stdout")) == TEXT
    assert b"".join(client.logs("t1", Stream.STDOUT, 4)) == b"two\n"
    assert b"".join(client.logs("t1", "stdout", 99)) == b""
    with pytest.raises(ValueError, match="stdin"):
        next(client.logs("t1", "stdin"))
    assert b"".join(client.logs("t2", "stdout", attempt=1)) == b""
    with pytest.raises(UnknownTask):
        next(client.logs("t2", "stdout", attempt=7))
    assert [artifact.path for artifact in client.artifacts("t1")] == ["a b"]
    assert b"".join(client.artifact("t1", "a b")) == b"artifact"
    assert b"".join(client.artifact("t1", "a b", 4)) == b"fact"
    with pytest.raises(UnknownTask, match="no stored artifact"):
        next(client.artifact("t1", "nothing"))
    for part in Part:
        services.removal.strip({"t1": services.client.get("t1").nonce}, part)
    with pytest.raises(UnknownTask, match="kept for a time only"):
        next(client.logs("t1", "stdout"))
    with pytest.raises(UnknownTask, match="kept for a time only"):
        next(client.artifact("t1", "a b"))


def test_tasks_are_cancelled_and_deleted(client: Client, services: MemoryServices) -> None:
    """One, or many of which some cannot be."""
    client.submit(SPEAK, "t1")
    assert client.cancel("t1").status is State.FAILED
    client.expect_removable("t1")
    client.delete("t1")
    with pytest.raises(UnknownTask):
        client.delete("t1")
    for name in ("a", "b"):
        client.submit(SPEAK, name)
    services.run_queued()
    client.submit(SPEAK, "open")
    with pytest.raises(NotEnded):
        client.expect_removable("open")
    assert sorted(client.delete_all(client.list())) == ["a", "b"]
    assert [task.id for task in client.list()] == ["open"]


def test_a_token_that_is_not_known_is_told(services: MemoryServices, tmp_path: Path) -> None:
    """And one that does not allow it; not a moment is spent on trying again."""
    tokens, texts = some_tokens(tmp_path)
    with served(services, tokens) as server:
        with HttpClient(Api(server.url, "wrong"), 10.0) as client, pytest.raises(SettingsError, match="ORCHESTRATOR_TOKEN: "):
            client.reach()
        with HttpClient(Api(server.url, texts[Scope.READ]), 10.0) as reader:
            assert reader.list() == []
            with pytest.raises(SettingsError, match="submit is needed here"):
                reader.submit(SPEAK)
            with pytest.raises(SettingsError, match="takes the servers themselves"):
                _ = reader.services


def test_the_environment_chooses(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An address without a database; both mean the servers."""
    monkeypatch.chdir(tmp_path)
    for name in ("MONGO_URI", "REDIS_URL", "MINIO_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ORCHESTRATOR_URL", "http://tasks.example")
    (tmp_path / "token").write_text("secret\n")
    monkeypatch.setenv("ORCHESTRATOR_TOKEN_FILE", str(tmp_path / "token"))
    with Client.from_env() as client:
        assert isinstance(client, HttpClient)
        assert client._api == Api("http://tasks.example", "secret")
    monkeypatch.setenv("MONGO_URI", "mongodb://localhost")
    with Client.from_env() as client:
        assert not isinstance(client, HttpClient)
