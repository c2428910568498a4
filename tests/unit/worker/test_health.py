"""What probes are told over HTTP."""

import socket
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest

from orchestrator.errors import InfrastructureError
from orchestrator.settings.settings import Settings
from orchestrator.worker import engine_watch, health
from orchestrator.worker.engine_watch import EngineWatch
from orchestrator.worker.health import Health, Page, serve
from tests.support import pace
from tests.support.probes import asked
from tests.support.worker_process import until

NOW = [Health(alive=True, draining=False, tasks=0)]


@pytest.fixture
def address() -> Iterator[str]:
    """Where a server answers for what is in NOW."""
    server = serve(0, lambda: NOW[0])
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("health", "lives", "takes"),
    [
        (Health(alive=True, draining=False, tasks=2), 200, 200),
        (Health(alive=True, draining=True, tasks=2), 200, 503),
        (Health(alive=False, draining=False, tasks=0), 503, 503),
        (Health(alive=True, draining=False, tasks=2, engine=False), 200, 503),
        (Health(alive=True, draining=False, tasks=2, database=False), 200, 503),
    ],
)
def test_probes_tell_a_draining_worker_from_a_dead_one(address: str, health: Health, lives: int, takes: int) -> None:
    """A worker that drains must not be restarted, but gets no more tasks."""
    NOW[0] = health
    facts = {"alive": health.alive, "draining": health.draining, "tasks": health.tasks}
    facts |= {"engine": health.engine, "database": health.database}
    assert asked(f"{address}/healthz") == (lives, facts)
    assert asked(f"{address}/readyz") == (takes, facts)


def test_a_connection_that_asks_nothing_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else each would hold a thread and a file of the worker's for ever."""
    monkeypatch.setattr(health, "_DEADLINE", 0.1)
    with serve(0, lambda: NOW[0]) as server, socket.create_connection(server.server_address[:2], timeout=10) as idle:
        assert idle.recv(1) == b""
        server.shutdown()


def test_a_request_that_drips_is_cut_at_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte now and then does not put it off."""
    monkeypatch.setattr(health, "_DEADLINE", 0.3)
    with serve(0, lambda: NOW[0]) as server, socket.create_connection(server.server_address[:2], timeout=10) as drip:
        begun = time.monotonic()
        drip.settimeout(0.05)
        with suppress(ConnectionError):
            while not _is_closed(drip):
                assert time.monotonic() < begun + pace.seconds(10)
                drip.send(b"G")
        server.shutdown()


def _is_closed(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except TimeoutError:
        return False


def test_connections_are_bounded_and_free_again_once_they_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two hundred that ask nothing cost a few threads, and a probe is answered once they are gone."""
    monkeypatch.setattr(health, "_DEADLINE", 60.0)
    with serve(0, lambda: NOW[0]) as server, ExitStack() as stack:
        idle = [stack.enter_context(socket.create_connection(server.server_address[:2], timeout=10)) for _ in range(200)]
        for refused in idle[health._CONNECTIONS :]:
            with suppress(ConnectionError):
                assert refused.recv(1) == b""
        assert sum("process_request_thread" in thread.name for thread in threading.enumerate()) <= health._CONNECTIONS
        for connection in idle:
            connection.close()
        until(lambda: asked(f"http://127.0.0.1:{server.server_address[1]}/healthz"))
        server.shutdown()


def test_it_is_answered_on_loopback_alone_unless_told_otherwise() -> None:
    """By default no other host can ask what a worker does."""
    for host, heard in ((None, "127.0.0.1"), ("0.0.0.0", "0.0.0.0")):  # noqa: S104
        with serve(0, lambda: NOW[0], *filter(None, [host])) as server:
            assert server.server_address[0] == heard
            server.shutdown()
    assert Settings().health_host == "127.0.0.1"


def test_the_engine_counts_as_away_once_it_refuses_or_is_silent_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """And as there again with its first answer."""
    answers: list[InfrastructureError | None] = [None, InfrastructureError("docker", "refused"), None]

    def ask() -> None:
        if error := answers.pop(0):
            raise error

    watch = EngineWatch(ask)
    seen = [watch.answers]
    for _ in range(3):
        watch.look()
        seen.append(watch.answers)
    assert seen == [False, True, False, True]
    monkeypatch.setattr(engine_watch, "_STALE", 0.0)
    assert not watch.answers


def test_metrics_are_told_where_somebody_offers_them() -> None:
    """Beside the probes, as they are."""
    told = Page(200, "text/plain; version=1.0.0", b"up 1\n")
    with serve(0, lambda: NOW[0], exposition=lambda: told) as server:
        address = f"http://127.0.0.1:{server.server_address[1]}"
        with urllib.request.urlopen(f"{address}/metrics", timeout=10) as answer:  # noqa: S310
            assert (answer.headers["Content-Type"], answer.read()) == (told.content_type, told.body)
        assert asked(f"{address}/healthz") is not None
        server.shutdown()


def test_there_is_nothing_else(address: str) -> None:
    """Neither pages, nor metrics where nobody offers them."""
    assert asked(f"{address}/")[0] == 404
    assert asked(f"{address}/metrics")[0] == 404
