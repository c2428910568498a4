"""A server on services in memory, with a program that speaks."""

from collections.abc import Iterator

import httpx
import pytest

from orchestrator.testing import FOREVER, MemoryServices, Program
from tests.support.http_server import Served, served

TEXT = b"one\ntwo\n"


@pytest.fixture
def services() -> MemoryServices:
    """Programs that print, fail, leave files, and run until they are ended."""
    return MemoryServices(
        {
            ("speak",): Program(stdout=TEXT, stderr=b"oops", seconds=1.0),
            ("fail",): Program(exit_code=3),
            ("shout",): Program(stdout=TEXT, exit_code=3),
            ("stay",): FOREVER,
        }
    )


@pytest.fixture
def server(services: MemoryServices) -> Iterator[Served]:
    """It answers; nothing runs what is handed in, unless the test does."""
    with served(services) as server:
        yield server


@pytest.fixture
def http(server: Served) -> Iterator[httpx.Client]:
    """A client of it."""
    with server.client() as client:
        yield client
