"""A separate Redis server and worker processes, which the test may kill; an installation, and a client of it."""

from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from orchestrator.client import Client
from orchestrator.wiring import connect
from tests.support.installation import Installation
from tests.support.servers import Corner
from tests.support.worker_process import Notes, Start, Valkey


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Valkey]:
    """A Redis server of this test."""
    valkey = Valkey(tmp_path)
    valkey.start()
    yield valkey
    valkey.kill()


@pytest.fixture
def notes(tmp_path: Path) -> Notes:
    """The notes of the jobs."""
    return Notes(tmp_path)


@pytest.fixture
def worker(server: Valkey, tmp_path: Path) -> Iterator[Start]:
    """Starts workers, and kills at the end those that still run."""
    with ExitStack() as stack:
        yield Start(server, tmp_path, stack)


@pytest.fixture
def installation(corner: Corner, tmp_path: Path) -> Iterator[Installation]:
    """Servers without a worker."""
    environment = {**corner.environment, "SPOOL_DIR": str(tmp_path / "spool"), "PULL_POLICY": "never"}
    installation = Installation(environment, tmp_path)
    yield installation
    installation.stop()


@pytest.fixture
def client(installation: Installation) -> Iterator[Client]:
    """A client of the test's installation."""
    services = connect(installation.settings)
    with closing(services.store):
        yield Client(services)
