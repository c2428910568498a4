"""Figures over HTTP are those of the client on the services."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from attrs import evolve

from orchestrator.errors import UnknownTask
from orchestrator.http_client.blocking import HttpClient
from orchestrator.http_client.figures import stats_of, window_of
from orchestrator.http_client.wire import Api
from orchestrator.outcome.series import Series
from orchestrator.ports import WorkerRecord
from orchestrator.task.plain import as_json
from orchestrator.testing import MemoryServices, Program
from statemachine import State
from tests.support.http_server import served

SPEAK = {"image": "busybox", "command": ["speak"]}


@pytest.fixture
def services() -> MemoryServices:
    """With programs that speak and fail."""
    return MemoryServices({("speak",): Program(seconds=1.0), ("fail",): Program(exit_code=3)})


@pytest.fixture
def client(services: MemoryServices) -> Iterator[HttpClient]:
    """Of a server on them."""
    with served(services) as server, HttpClient(Api(server.url, ""), 10.0) as client:
        yield client


def test_the_figures_of_a_deployment_are_told(client: HttpClient, services: MemoryServices) -> None:
    """All but the moment, which is that of the server."""
    for number, command in enumerate(["speak", "fail", "speak"]):
        services.client.submit({**SPEAK, "command": [command]}, f"t{number}")
    services.run_queued()
    services.client.submit(SPEAK, "waits")
    own, told = services.client.stats(600.0), client.stats(600.0)
    assert (told.started, told.finished, told.queue.jobs, told.window) == (3, 3, 1, 600.0)
    same = {"at": own.at, "over_time": own.over_time, "queue": own.queue}
    assert evolve(told, **same) == own


def test_figures_are_read_as_they_were_written(services: MemoryServices) -> None:
    """Workers among them."""
    at = datetime(2026, 1, 2, tzinfo=UTC)
    worker = WorkerRecord("w", "host", 7, "engine", 4, ("t1", "t2"), "busy", at, at)
    own = evolve(services.client.stats(600.0), workers=(worker,))
    assert stats_of(_plain(as_json(own.document()))) == own


def _plain(text: str) -> dict[str, object]:
    read: dict[str, object] = json.loads(text)
    return read


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(1.0, "1s"), (59.9, "59s"), (9999.0, "9999s"), (10_000.0, "166m"), (86_400.0, "1440m"), (2_592_000.0, "720h")],
)
def test_a_window_is_told_in_the_unit_that_has_it(seconds: float, text: str) -> None:
    """The smallest that can."""
    assert window_of(seconds) == text


@pytest.mark.parametrize("seconds", [0.5, float("inf"), float("nan")])
def test_what_is_no_window_is_refused(client: HttpClient, services: MemoryServices, seconds: float) -> None:
    """By both alike."""
    for each in (client, services.client):
        with pytest.raises(ValueError, match="window: must be a number of seconds"):
            each.stats(seconds)


def test_what_a_task_used_over_time_is_read(
    client: HttpClient, services: MemoryServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of an attempt; None where nothing is stored."""
    services.client.submit(SPEAK, "t1")
    assert client.series("t1") is None
    series = Series(2, 1.0, ("t", "cpu_percent"), ((0.5, 10.0), (1.0, None)))
    monkeypatch.setattr(services.client, "series", lambda _, attempt: series if attempt == 2 else None)
    assert (client.series("t1", 2), client.series("t1")) == (series, None)
    with pytest.raises(UnknownTask):
        client.series("nobody")


def test_the_tasks_that_run_are_told(client: HttpClient, services: MemoryServices, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first started first, without points."""
    task = services.client.submit(SPEAK, "t1")
    assert client.running() == []
    later, first = (evolve(task, started_at=datetime(2026, 1, day, tzinfo=UTC)) for day in (2, 1))
    monkeypatch.setattr(client, "list", lambda status, _: [later, first] if status is State.RUNNING else [])
    assert client.running() == [(first, None), (later, None)]
