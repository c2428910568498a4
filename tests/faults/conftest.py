"""Installations for the fault suite: on the servers that all tests share, or on servers that the test may kill."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from attrs import evolve

from orchestrator.embedded import Embedded
from tests.faults.report import long
from tests.support import pace
from tests.support.fault_site import Site
from tests.support.servers import Corner, corners


def pytest_configure(config: pytest.Config) -> None:
    """Tests of the long form have a mark, and those that may end otherwise on another kind of host."""
    config.addinivalue_line("markers", "long: takes minutes; only in `make faults`")
    config.addinivalue_line("markers", "host: depends on the engine's version, its cgroup driver or the version of cgroups")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the long ones out of the short form, but for those that are asked for by ``-m host``."""
    wanted = {"host"} if config.option.markexpr == "host" else set()
    left_out = [item for item in items if "long" in _marks(item) and not (long() or wanted & _marks(item))]
    if left_out:
        items[:] = [item for item in items if item not in left_out]
        config.hook.pytest_deselected(items=left_out)


def _marks(item: pytest.Item) -> set[str]:
    return {mark.name for mark in item.iter_markers()}


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
