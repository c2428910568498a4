"""What tests of every kind may ask for: real servers, started once and only when a test wants them."""

import os
import signal
import sys
import threading
from collections.abc import Iterator

import pytest

from orchestrator.embedded import Embedded
from orchestrator.log import logger
from orchestrator.settings.settings import Settings
from tests.support import pace
from tests.support.faults import Killed
from tests.support.servers import Corner, corners, need


def pytest_configure() -> None:
    """A shell that runs the tests in the background has them ignore SIGINT, and their children with them: undo it.

    What is logged goes to stderr as pytest finds it then, without the values of variables, which may be huge.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    logger.enable("orchestrator")
    logger.configure(handlers=[{"sink": sys.stderr, "diagnose": False, "backtrace": False}])  # no values of variables


def pytest_collection_finish(session: pytest.Session) -> None:
    """Say before the first test when this machine cannot run the servers that some of them need."""
    if not session.config.option.collectonly:
        need(session.items)


def pytest_report_collectionfinish() -> list[str]:
    """Say how slow the machine is where a test has asked for it, for deadlines are multiples of that."""
    return [f"pace: {os.environ[pace.VARIABLE]} times slower than usual"] if pace.VARIABLE in os.environ else []


@pytest.fixture(scope="session", autouse=True)
def _threads_of_the_dead_are_silent() -> Iterator[None]:
    """Threads of a process that a test has killed end without a word, as they would; pytest reports all others."""
    report = threading.excepthook
    threading.excepthook = lambda raised: None if raised.exc_type is Killed else report(raised)
    yield
    threading.excepthook = report


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    """Valkey, SecantusDB and SeaweedFS, shared by all tests of the session; a test that stops one starts its own."""
    with Embedded(tmp_path_factory.mktemp("servers"), patience=pace.seconds(30)) as embedded:
        yield embedded


@pytest.fixture(scope="session")
def _corners(servers: Embedded) -> Iterator[Corner]:
    return corners(servers.environment)


@pytest.fixture
def corner(_corners: Iterator[Corner]) -> Iterator[Corner]:
    """A corner of the servers for this test alone, removed after it."""
    corner = next(_corners)
    yield corner
    corner.wipe()


@pytest.fixture
def settings(corner: Corner) -> Settings:
    """Settings that point to this test's corner of the real servers."""
    return corner.settings
