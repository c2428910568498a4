"""Figures over HTTP: of the deployment, of its workers, of a task over time, and of the process."""

import asyncio
import threading

import httpx
import pytest
from attrs import asdict

from orchestrator.client import Client
from orchestrator.errors import InfrastructureError
from orchestrator.outcome.series import Series
from orchestrator.outcome.stats import Stats
from orchestrator.server.backend import Backend
from orchestrator.task.plain import as_json
from orchestrator.testing import MemoryServices
from tests.support.http_server import Served, backend_of
from tests.support.worker_process import until

SPEAK = {"image": "busybox", "command": ["speak"], "id": "t1"}


def test_the_figures_are_those_of_the_client(http: httpx.Client, services: MemoryServices) -> None:
    """With the workers apart, too."""
    http.post("/v1/tasks", json=SPEAK)
    services.run_queued()
    http.post("/v1/tasks", json={"image": "busybox"})
    told = http.get("/v1/stats?window=10m").json()
    assert (told["window"], told["queue"]["length"], told["tasks"]["queued"]) == (600, 1, 1)
    assert (told["ends"]["succeeded"], {*told}) == (1, {*services.client.stats().document()})
    assert http.get("/v1/workers").json() == {"workers": told["workers"]}
    assert http.get("/v1/stats?window=0s").status_code == 400


def test_all_who_ask_at_once_are_told_the_same(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is counted once for them; an error is told to each, and not for long."""
    counted = threading.Barrier(2)
    calls: list[float] = []

    def count(client: Client, window: float = 3600.0) -> Stats:
        calls.append(window)
        counted.wait(10)
        return original(client, window)

    original = Client.stats
    monkeypatch.setattr(Client, "stats", count)
    found: list[int] = []

    def ask() -> None:
        with server.client() as http:
            found.append(http.get("/v1/stats").status_code)

    asking = [threading.Thread(target=ask) for _ in range(8)]
    for thread in asking:
        thread.start()
    counted.wait(10)
    for thread in asking:
        thread.join()
    assert (calls, found) == ([3600.0], [200] * 8)


class Counts:
    """Counts that go on until they are let go."""

    def __init__(self, services: MemoryServices) -> None:
        self._stats = services.client.stats()
        self.windows: list[float] = []
        self.released = threading.Event()

    def stats(self, window: float = 3600.0) -> Stats:
        """The same figures for each."""
        self.windows.append(window)
        assert self.released.wait(30)
        return self._stats


def _counting(services: MemoryServices, monkeypatch: pytest.MonkeyPatch) -> tuple[Backend, Counts]:
    """None of its figures is fresh."""
    backend, counts = backend_of(services), Counts(services)
    monkeypatch.setattr(backend.client, "stats", counts.stats)
    monkeypatch.setattr("orchestrator.server.shared._FRESH", -1.0)
    return backend, counts


def test_counts_do_not_pile_up(services: MemoryServices, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that runs is waited for, however long ago it began; of several windows two are counted at once."""
    backend, counts = _counting(services, monkeypatch)

    async def ask() -> list[float]:
        asking = [asyncio.ensure_future(backend.stats(window)) for window in (60, 60, 120, 180, 240)]
        await asyncio.to_thread(until, lambda: backend._counters.statistics().tasks_waiting == len(counts.windows) == 2)
        asking += [asyncio.ensure_future(backend.stats(60))]
        await asyncio.sleep(0)
        begun = [*counts.windows]
        counts.released.set()
        await asyncio.gather(*asking)
        return begun

    assert sorted(asyncio.run(ask())) == [60, 120]
    assert sorted(counts.windows) == [60, 120, 180, 240]


def test_windows_are_rounded_and_the_last_ones_kept(services: MemoryServices, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that who asks for ever new ones makes little work, and drives nobody's out but the oldest."""
    backend, counts = _counting(services, monkeypatch)
    counts.released.set()

    async def ask() -> set[float]:
        for window in (1.0, 59.0, 601.0, 3659.0, 86_400.0, 90_001.0, *map(float, range(100, 120))):
            await backend.stats(window)
        return {*backend._counted}

    assert asyncio.run(ask()) == {*map(float, range(104, 120))}
    assert counts.windows[:6] == [1.0, 59.0, 600.0, 3600.0, 86_400.0, 90_000.0]


def test_figures_that_cannot_be_counted_are_a_problem(http: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until they can."""

    def away(*_: object) -> Stats:
        raise InfrastructureError("mongodb", "away")

    with monkeypatch.context() as patched:
        patched.setattr(Client, "stats", away)
        assert http.get("/v1/stats?window=7m").status_code == 503
    assert http.get("/v1/stats?window=8m").status_code == 200


def test_what_a_task_used_over_time_is_given(
    http: httpx.Client, services: MemoryServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it is stored."""
    http.post("/v1/tasks", json=SPEAK)
    services.run_queued()
    series = Series(1, 1.0, ("t", "cpu_percent"), ((0.5, 10.0), (1.0, None)))
    monkeypatch.setattr(Client, "series", lambda *_: series)
    told = http.get("/v1/tasks/t1/metrics").json()
    assert as_json(told["series"]) == as_json(asdict(series))


def test_prometheus_can_read_what_is_counted(http: httpx.Client) -> None:
    """In its text format."""
    answer = http.get("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert "orchestrator_build_info" in answer.text
