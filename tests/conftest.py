"""What tests of every kind may ask for: real servers, started once and only when a test wants them."""

from collections.abc import Iterator

import pytest

from orchestrator.embedded import Embedded
from orchestrator.settings import Settings
from tests.support.servers import Corner, corners


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    """Valkey, SecantusDB and SeaweedFS, shared by all tests of the session; a test that stops one starts its own."""
    with Embedded(tmp_path_factory.mktemp("servers")) as embedded:
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
