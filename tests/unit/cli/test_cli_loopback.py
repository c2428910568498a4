"""What listens on this machine is asked itself, also where all else is reached by a proxy."""

import socket
from collections.abc import Iterator

import pytest
from click.testing import CliRunner

from orchestrator.cli import up_server
from orchestrator.cli.health import health_command
from orchestrator.testing import MemoryServices
from tests.support.http_server import Served, served


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """The environment names a proxy that is away."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        proxy = f"http://127.0.0.1:{taken.getsockname()[1]}"
    for name in ("http_proxy", "all_proxy"):
        monkeypatch.setenv(name, proxy)
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with served(MemoryServices()) as server:
        yield server


def test_the_api_of_an_up_is_asked_past_a_proxy(server: Served) -> None:
    """Whether it is ready."""
    assert up_server._answers(server.url)
    assert not up_server._answers(f"{server.url}/nothing")


def test_a_worker_is_asked_past_a_proxy(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether it lives."""
    monkeypatch.setenv("HEALTH_PORT", server.url.rpartition(":")[2])
    assert CliRunner().invoke(health_command).exit_code == 0
