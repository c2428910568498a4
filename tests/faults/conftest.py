"""Installations for the fault suite: on the servers that all tests share, or on servers that the test may kill."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.embedded import Embedded
from tests.support.fault_site import Site
from tests.support.servers import Corner, corners


@pytest.fixture
def site(corner: Corner, tmp_path: Path) -> Iterator[Site]:
    """Shared servers, the host's engine, and no worker yet."""
    with Site(corner.environment, tmp_path) as site:
        yield site


@pytest.fixture
def own_servers(tmp_path: Path) -> Iterator[Embedded]:
    """Servers of this test alone."""
    with Embedded(tmp_path / "servers") as embedded:
        yield embedded


@pytest.fixture
def own_corner(own_servers: Embedded) -> Corner:
    """Where a process works on them."""
    return next(corners(own_servers.environment))
