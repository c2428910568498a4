"""A worker is killed before each kind of call of a deletion, on real servers. The next one leaves no orphan on either side."""

import hashlib
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from attrs import frozen

from orchestrator.adapters.redis.client import redis_client
from tests.faults.debris import sweeper
from tests.support.fault_programs import keeper
from tests.support.fault_proof import prove
from tests.support.fault_site import Site
from tests.support.fault_wait import until

AT_THE_DELETION = (
    "sweep/store.deleting#1",
    "sweep/store.expired#1",
    "sweep/store.outlived#1",
    "sweep/store.with_output#1",
    "sweep/store.mark_deleting#1",
    "sweep/store.naming#1",
    "sweep/store.naming#2",
    "sweep/logs.listed#1",
    "sweep/logs.remove#1",
    "sweep/logs.remove#2",
    "sweep/store.note_removed#1",
    "sweep/store.delete#1",
)
"""Each kind of call that retention makes; where two kinds of work make it, the second call, too."""
OLD, MIDDLE, YOUNG = 40, 10, 1
"""Days since the end. By the default settings a task is kept for 30 days, its output for 7."""


@frozen
class Aged:
    """Copies of a task that ended earlier."""

    named: str
    """It is to be deleted. Its document names all objects."""
    listed: str
    """It is to be deleted, too. Its document does not say that it names all."""
    middle: str
    """Only its output is to be removed."""
    young: str
    """All of it is to stay."""


@pytest.mark.long
@pytest.mark.parametrize("point", AT_THE_DELETION)
def test_a_worker_killed_before_any_call_of_a_deletion_leaves_nothing(site: Site, point: str) -> None:
    """The next worker goes on: no object is without its task, and no task says that it has what is gone."""
    queue = f"{site.environment['QUEUE']}-model"
    worker = site.worker("model", QUEUE=queue, SWEEP_INTERVAL="1000")
    model = site.submit(keeper(0.3), queue, artifacts=["."])
    site.ended([model])
    until(lambda: site.document(model).get("settled"))
    assert site.document(model)["objects_named"] == 1
    aged = Aged(
        _copy(site, model, OLD), _copy(site, model, OLD, named=0), _copy(site, model, MIDDLE), _copy(site, model, YOUNG)
    )
    whole = _keys(site, aged.young)
    victim = sweeper(site, "victim", point)
    victim.dead()
    _free_the_lock(site)
    heir = sweeper(site, "heir")
    until(lambda: not site.document(aged.named) and not site.document(aged.listed))
    until(lambda: {"logs_removed_at", "artifacts_removed_at"} <= {k for k, v in site.document(aged.middle).items() if v})
    assert [_keys(site, task_id) for task_id in (aged.named, aged.listed, aged.middle)] == [[], [], []]
    assert (_keys(site, aged.young), len(whole)) == (whole, len(_keys(site, model)))
    for child in (worker, heir):
        child.signal(9)
        child.dead()
    prove(site, model)


def _copy(site: Site, model: str, days: int, named: int = 1) -> str:
    """A task like the model, with objects of its own, that ended so many days ago."""
    task_id = uuid.uuid4().hex
    document = _renamed(site.document(model), model, task_id)
    ended = datetime.now(UTC) - timedelta(days=days)
    own = {"nonce": uuid.uuid4().hex, "finished_at": ended, "created_at": ended, "objects_named": named}
    logs = site.services.logs
    file = site.folder / "object"
    for key in _keys(site, model):
        file.write_bytes(b"".join(logs.get(key)))
        logs.put(key.replace(model, task_id), file, hashlib.sha256(file.read_bytes()).hexdigest())
    site.mongo[site.settings.mongo_db_name]["tasks"].insert_one({**document, **own})
    return task_id


def _renamed(value: Any, old: str, new: str) -> Any:
    match value:
        case Mapping():
            return {name: _renamed(each, old, new) for name, each in value.items()}
        case list():
            return [_renamed(each, old, new) for each in value]
        case str():
            return value.replace(old, new)
    return value


def _keys(site: Site, task_id: str) -> list[str]:
    return [found.key for found in site.services.logs.listed(f"{task_id}/")]


def _free_the_lock(site: Site) -> None:
    """The dead worker's lock of retention, which would expire after a minute."""
    with redis_client(site.settings) as redis:
        redis.delete(f"orchestrator:retention:{site.services.deployment}")
