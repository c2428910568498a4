"""What probes are told over HTTP."""

import json
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from orchestrator import health
from orchestrator.health import Health, serve

NOW = [Health(alive=True, draining=False, tasks=0)]


@pytest.fixture
def address() -> Iterator[str]:
    """Where a server answers for what is in NOW."""
    server = serve(0, lambda: NOW[0])
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def asked(url: str) -> tuple[int, dict[str, object]]:
    """The status and the facts."""
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310  loopback
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


@pytest.mark.parametrize(
    ("health", "lives", "takes"),
    [
        (Health(alive=True, draining=False, tasks=2), 200, 200),
        (Health(alive=True, draining=True, tasks=2), 200, 503),
        (Health(alive=False, draining=False, tasks=0), 503, 503),
    ],
)
def test_probes_tell_a_draining_worker_from_a_dead_one(address: str, health: Health, lives: int, takes: int) -> None:
    """A worker that drains must not be restarted, but gets no more tasks."""
    NOW[0] = health
    facts = {"alive": health.alive, "draining": health.draining, "tasks": health.tasks}
    assert asked(f"{address}/healthz") == (lives, facts)
    assert asked(f"{address}/readyz") == (takes, facts)


def test_a_connection_that_asks_nothing_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else each would hold a thread and a file of the worker's for ever."""
    monkeypatch.setattr(health, "_IDLE", 0.1)
    with serve(0, lambda: NOW[0]) as server, socket.create_connection(server.server_address[:2], timeout=10) as idle:
        assert idle.recv(1) == b""
        server.shutdown()


def test_there_is_nothing_else(address: str) -> None:
    """Neither metrics nor pages."""
    assert asked(f"{address}/")[0] == 404
