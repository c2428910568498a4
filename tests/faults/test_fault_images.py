"""Row 8: images that cannot be pulled from a real registry, permanently or for a while."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.metrics import declarations as metrics
from scripts.packages import NotReady
from tests.faults.registry import Registry
from tests.faults.report import not_run, note
from tests.support import pace
from tests.support.containers import IMAGE
from tests.support.fault_metrics import shows, with_metrics
from tests.support.fault_programs import Program, talker
from tests.support.fault_proof import prove
from tests.support.fault_proxy import Proxy, http_reply
from tests.support.fault_rows import Row
from tests.support.fault_site import Site

ABSENT = Program("", b"", b"", "failed", "image")
DOWN = 30.0
DRIPS = 6.0


@pytest.fixture
def registry(tmp_path: Path, row: Row) -> Iterator[Registry]:
    """A registry of this test's own."""
    registry = Registry(tmp_path / "registry")
    try:
        registry.__enter__()
    except NotReady as reason:
        not_run(row, reason)
    yield registry
    registry.__exit__(None, None, None)


@pytest.fixture
def way(registry: Registry) -> Iterator[Proxy]:
    """The way from the engine to the registry."""
    with Proxy(("127.0.0.1", registry.port)) as proxy:
        yield proxy


DENIED = b'{"errors": [{"code": "DENIED", "message": "requested access to the resource is denied"}]}'


@pytest.mark.parametrize("row", [Row.IMAGE_ABSENT, Row.IMAGE_DENIED], ids=lambda row: row.name)
def test_an_image_that_cannot_be_had_fails_the_task_at_once(site: Site, way: Proxy, row: Row) -> None:
    """The registry's 404 and 403 are for good: nothing is retried."""
    if row is Row.IMAGE_DENIED:
        way.add(rb"^(GET|HEAD) /v2/\S+/manifests", times=99, answer=http_reply(403, DENIED, "application/json"))
    site.worker("worker", PULL_POLICY="missing", **(worker := with_metrics()))
    began = time.monotonic()
    task_id = site.submit(ABSENT, image=f"127.0.0.1:{way.port}/nowhere:1")
    site.ended([task_id])
    took = time.monotonic() - began
    shows(worker, metrics.ENDED, "failed", "image")
    held = prove(site, task_id, slots=4)
    assert site.document(task_id)["attempt"] in {0, 1}
    note(row, held, [took])


@pytest.mark.parametrize("row", [Row.REGISTRY_DOWN], ids=lambda row: row.name)
@pytest.mark.long
def test_a_registry_that_is_down_is_waited_for(site: Site, registry: Registry, way: Proxy, row: Row) -> None:
    """The pull is retried with backoff until the registry is back, within the budget."""
    site.worker("worker", PULL_POLICY="missing")
    image = registry.image(IMAGE, way.port)
    registry.stop()
    task_id = site.submit(talker(0.3), image=image)
    time.sleep(DOWN)
    assert site.status(task_id) == "queued"
    registry.start()
    back = time.monotonic()
    site.ended([task_id])
    took = time.monotonic() - back
    note(row, prove(site, task_id, slots=4), [took], detail=f"for {DOWN:.0f} s")


@pytest.mark.parametrize("row", [Row.REGISTRY_DRIPS], ids=lambda row: row.name)
@pytest.mark.long
def test_a_pull_that_drips_is_given_up_in_its_time(site: Site, registry: Registry, way: Proxy, row: Row) -> None:
    """Progress of 250 bytes a second holds no slot for longer than PULL_TIMEOUT; the task fails with cause image."""
    site.worker("worker", PULL_POLICY="missing", PULL_TIMEOUT=str(DRIPS))
    rule = way.add(rb"^GET \S+/blobs/", times=99, drip=1.0)
    began = time.monotonic()
    task_id = site.submit(ABSENT, image=registry.image(IMAGE, way.port))
    site.ended([task_id])
    took = time.monotonic() - began
    assert rule.struck
    assert DRIPS <= took < DRIPS + pace.seconds(15)
    note(row, prove(site, task_id, slots=4), [took], detail=f"PULL_TIMEOUT was {DRIPS:.0f} s")


FAULTS = {
    Row.REGISTRY_CUTS: {"times": 3, "cut_reply_after": 5000},
    Row.REGISTRY_STALLS: {"times": 1, "stall_reply": 75.0},
}


@pytest.mark.parametrize("row", FAULTS, ids=lambda row: row.name)
@pytest.mark.long
def test_a_pull_that_breaks_off_is_made_again(site: Site, registry: Registry, way: Proxy, row: Row) -> None:
    """An error inside the stream, and silence: neither ends the task."""
    site.worker("worker", PULL_POLICY="missing")
    rule = way.add(rb"^GET \S+/blobs/", **FAULTS[row])
    began = time.monotonic()
    task_id = site.submit(talker(0.3), image=registry.image(IMAGE, way.port))
    site.ended([task_id], 240)
    assert rule.struck
    took = time.monotonic() - began
    note(row, prove(site, task_id, slots=4), [took])
