"""Installations for the fault suite: on the servers that all tests share, or on servers that the test may kill."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from attrs import evolve

from orchestrator.embedded import Embedded
from tests.support import pace
from tests.support.fault_report import long
from tests.support.fault_site import Site
from tests.support.servers import Corner, corners


def pytest_configure(config: pytest.Config) -> None:
    """Tests of the long form have a mark."""
    config.addinivalue_line("markers", "long: takes minutes; only in `make faults`")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave them out of the short form."""
    left_out = [] if long() else [item for item in items if item.get_closest_marker("long")]
    if left_out:
        items[:] = [item for item in items if item not in left_out]
        config.hook.pytest_deselected(items=left_out)


@pytest.fixture
def site(corner: Corner, tmp_path: Path) -> Iterator[Site]:
    """Shared servers, the host's engine, and no worker yet."""
    with Site(corner.environment, tmp_path) as site:
        yield site


@pytest.fixture
def own_servers(tmp_path: Path) -> Iterator[Embedded]:
    """Servers of this test alone."""
    with Embedded(tmp_path / "servers", patience=pace.seconds(30)) as embedded:
        yield embedded


@pytest.fixture
def own_corner(own_servers: Embedded) -> Corner:
    """Where a process works on them."""
    return next(corners(own_servers.environment))


@pytest.fixture
def neighbours(corner: Corner, tmp_path: Path) -> Iterator[tuple[Site, Site]]:
    """Two installations with databases and buckets of their own; all else they share."""
    other = f"{corner.environment['QUEUE']}-other"
    theirs = evolve(corner, environment={**corner.environment, "MONGO_DB_NAME": other, "MINIO_BUCKET": other})
    shared = {"SPOOL_DIR": str(tmp_path / "spool"), "ORPHAN_GRACE": "1", "SWEEP_INTERVAL": "0.5"}
    with ExitStack() as stack:
        stack.callback(theirs.wipe)
        yield tuple(
            stack.enter_context(Site({**each.environment, **shared}, tmp_path / each.environment["MONGO_DB_NAME"]))
            for each in (corner, theirs)
        )
