"""Deletion and retention over both stores, in memory and on real servers: nothing is left on either side."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from orchestrator.ports import ObjectStore, Part, Search, TaskStore
from orchestrator.reconcile.reconciler import Kind
from orchestrator.reconcile.removal import Removal
from orchestrator.reconcile.retention import KeepTimes, Retention
from orchestrator.testing.lock import MemoryLock
from tests.support.stored import queued

DAY = 86400.0
NAMES = ["stdout-a.log", "stderr-b.log", "artifacts/c-d"]


def filled(store: TaskStore, logs: ObjectStore, folder: Path, ages: dict[str, float], *, named: bool) -> None:
    """Tasks that ended so many days ago, each with two attempts that have objects, and documents that name them or do not."""
    file, sha256 = folder / "file", hashlib.sha256(b"x").hexdigest()
    file.write_bytes(b"x")
    for task_id, days in ages.items():
        at = datetime.now(UTC) - timedelta(days=days)
        ended = {"status": "failed", "settled": True, "nonce": f"of {task_id}", "finished_at": at}
        store.insert(queued(task_id) | ended | (_named(task_id) if named else {}))
    keys = [f"{task_id}/{attempt}/{name}" for task_id in ages for attempt in (1, 2) for name in NAMES]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: logs.put(key, file, sha256), keys))


def _named(task_id: str) -> dict[str, object]:
    first, second = (
        {
            "logs": {"stdout": {"key": f"{below}/{NAMES[0]}"}, "stderr": {"key": f"{below}/{NAMES[1]}"}},
            "artifacts_stored": [{"key": f"{below}/{NAMES[2]}"}],
        }
        for below in (f"{task_id}/1", f"{task_id}/2")
    )
    return {**second, "attempts": [first], "attempt": 2, "objects_named": 2}


@pytest.mark.parametrize("named", [True, False], ids=["named", "unnamed"])
def test_many_tasks_are_deleted_at_once(store: TaskStore, logs: ObjectStore, tmp_path: Path, *, named: bool) -> None:
    """More objects than one request can name; what others have stays, also where its id begins alike."""
    filled(store, logs, tmp_path, dict.fromkeys([*(f"t{number:03}" for number in range(180)), "t", "t0011"], 0.0), named=named)
    some = {f"t{number:03}": f"of t{number:03}" for number in range(180)}
    assert Removal(store, logs).delete(some) == {*some}
    assert {document["_id"] for document in store.list(Search(), 1000)} == {"t", "t0011"}
    assert {found.key.partition("/")[0] for found in logs.listed()} == {"t", "t0011"}
    assert Removal(store, logs).delete(some) == frozenset()


@pytest.mark.parametrize("named", [True, False], ids=["named", "unnamed"])
def test_retention_removes_what_is_due_and_nothing_else(
    store: TaskStore, logs: ObjectStore, tmp_path: Path, *, named: bool
) -> None:
    """By the database's clock: logs of one, artifacts of another, a third one whole."""
    filled(store, logs, tmp_path, {"young": 1, "middle": 8, "old": 15, "expired": 31}, named=named)
    retention = Retention(Removal(store, logs), MemoryLock(), "deployment", KeepTimes(30 * DAY, 7 * DAY, 14 * DAY))
    planned = {(action.kind, action.subject) for action in retention.plan()}
    assert {(action.kind, action.subject) for action in retention.once(60)} == planned
    assert planned == {
        (Kind.REMOVE_LOGS, "middle"),
        (Kind.REMOVE_LOGS, "old"),
        (Kind.REMOVE_ARTIFACTS, "old"),
        (Kind.DELETE, "expired"),
    }
    artifacts = {"middle/1/artifacts/c-d", "middle/2/artifacts/c-d"}
    young = {f"young/{attempt}/{name}" for attempt in (1, 2) for name in NAMES}
    assert {found.key for found in logs.listed()} == artifacts | young
    assert store.find("expired") is None
    assert store.find("middle")[f"{Part.LOGS}_removed_at"] is not None
    assert retention.once(60) == []
