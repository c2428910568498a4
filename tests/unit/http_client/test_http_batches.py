"""Many tasks go to the API in few requests."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import pytest
from attrs import evolve
from urllib3.response import BaseHTTPResponse

from orchestrator.errors import InfrastructureError
from orchestrator.http_client import wire
from orchestrator.http_client.blocking import HttpClient
from orchestrator.http_client.wire import Api
from orchestrator.testing import MemoryServices
from tests.support.http_server import served

SPEAK = {"image": "busybox", "command": ["speak"]}


@pytest.fixture
def services() -> MemoryServices:
    """In memory."""
    return MemoryServices()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths that the client asks for."""
    paths: list[str] = []
    answer = HttpClient._answer

    def note(self: HttpClient, method: str, path: str, *more: object) -> object:
        paths.append(path)
        return answer(self, method, path, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(HttpClient, "_answer", note)
    return paths


@pytest.fixture
def client(services: MemoryServices) -> Iterator[HttpClient]:
    """Of a server on them."""
    with served(services) as server, HttpClient(Api(server.url, ""), 10.0) as client:
        yield client


def _kinds(results: Iterable[object]) -> list[str]:
    return [type(each).__name__ for each in results]


def test_many_tasks_go_together(
    client: HttpClient, services: MemoryServices, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many as one request takes; each has its own answer, in order."""
    monkeypatch.setattr(wire, "PAGE", 3)
    services.client.submit(SPEAK, "old")
    results = client.submit_many([SPEAK, {"image": "NO"}, SPEAK, SPEAK], ["a", None, "old", "b"])
    assert _kinds(results) == ["Task", "InvalidTask", "DuplicateTask", "Task"]
    assert results[0] == services.client.get("a")
    assert asked == ["/v1/tasks:batch"] * 2
    with pytest.raises(ValueError, match="shorter"):
        client.submit_many([SPEAK], [])


def test_a_batch_is_sent_again_under_the_same_ids(
    client: HttpClient, services: MemoryServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its answer was lost, so its tasks are there already; they are handed in once."""
    answer, lost = HttpClient._answer, [True]

    @contextmanager
    def lose(self: HttpClient, method: str, path: str, body: object) -> Iterator[BaseHTTPResponse]:
        with answer(self, method, path, body) as given:
            if lost and lost.pop():
                raise InfrastructureError(wire.SERVICE, "the answer is lost")
            yield given

    monkeypatch.setattr(HttpClient, "_answer", lose)
    assert _kinds(client.submit_many([SPEAK, SPEAK])) == ["Task", "Task"]
    assert (lost, len(services.client.list())) == ([], 2)


def test_batches_are_bounded_by_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is above that by itself goes alone."""
    monkeypatch.setattr(wire, "_TOGETHER", 100)
    orders = [({"image": "x" * size}, str(size)) for size in (20, 30, 60, 200, 10)]
    assert [[task_id for _, task_id in some] for some in wire.batches(orders)] == [["20", "30"], ["60"], ["200"], ["10"]]


def test_what_is_too_large_together_goes_alone(services: MemoryServices, asked: list[str]) -> None:
    """One that is too large by itself is refused by itself."""
    object.__setattr__(services, "settings", evolve(services.settings, api_body_max=1000))
    with served(services) as server, HttpClient(Api(server.url, ""), 10.0) as client:
        results = client.submit_many([{**SPEAK, "env": {"A": "x" * size}} for size in (600, 2000, 600)])
    assert _kinds(results) == ["Task", "InvalidTask", "Task"]
    assert asked == ["/v1/tasks:batch", *["/v1/tasks"] * 3]
