"""Measures how fast retention deletes tasks: ``make bench-deletion``.

Deletes batches of 100 tasks in the embedded servers, in random order: tasks whose objects are listed, tasks whose documents
name all objects, and tasks whose logs were removed earlier. ``ARGS`` is the number of batches of each kind.
"""

import hashlib
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

from loguru import logger
from pymongo import timeout

from orchestrator.adapters.mongo.client import mongo_client
from orchestrator.app import Services
from orchestrator.embedded import Embedded
from orchestrator.reconcile.removal import Removal
from orchestrator.settings.settings import Settings
from orchestrator.task.stored_keys import keys_of
from orchestrator.task.values import Document
from orchestrator.wiring import connect
from scripts.bench_lists import document

BATCH = 100
ROUNDS = 5
KINDS = ("objects listed", "objects named", "logs removed earlier")
_FILLING = 600.0
"""Seconds for the documents of one batch."""
_CONTENT = b"one line of output\n"


def main() -> None:
    """Run the measurement; the number of batches of each kind may be given."""
    logger.remove()
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    kinds = random.sample([*KINDS] * rounds, len(KINDS) * rounds)
    rates: dict[str, list[float]] = {kind: [] for kind in KINDS}
    with tempfile.TemporaryDirectory(prefix="orchestrator-bench-") as folder, Embedded(Path(folder)) as servers:
        settings = Settings.load({**servers.environment, "MONGO_DB_NAME": "bench"})
        services = connect(settings)
        services.store.prepare()
        services.logs.prepare()
        batches = [_filled(settings, services, Path(folder), kind) for kind in kinds]
        for kind, batch in zip(kinds, batches, strict=True):
            began = time.perf_counter()
            deleted = Removal(services.store, services.logs).delete(batch)
            rates[kind].append(len(deleted) / (time.perf_counter() - began))
    for kind, each in rates.items():
        print(f"{kind:<22} {statistics.median(each):6.0f} tasks/s, {min(each):.0f} to {max(each):.0f}")
    print(f"{len(kinds)} batches of {BATCH}; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs")


def _filled(settings: Settings, services: Services, folder: Path, kind: str) -> Mapping[str, object]:
    """Put a batch of tasks and their objects; the tasks {id: nonce}."""
    tasks = [_task(number, kind) for number in range(BATCH)]
    with mongo_client(settings) as mongo, timeout(_FILLING):
        mongo[settings.mongo_db_name]["tasks"].insert_many([dict(task) for task in tasks])
    if kind != KINDS[2]:
        file, sha256 = folder / "content", hashlib.sha256(_CONTENT).hexdigest()
        file.write_bytes(_CONTENT)
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda key: services.logs.put(key, file, sha256), [key for task in tasks for key in keys_of(task)]))
    return {str(task["_id"]): task["nonce"] for task in tasks}


def _task(number: int, kind: str) -> Document:
    """A task that ended 40 days ago, with a log and figures over time."""
    ended = document(number, datetime.now(UTC) - timedelta(days=40))
    below = f"{ended['_id']}/1"
    empty = {"key": "", "bytes": 0, "sha256": "", "truncated": False, "dropped": 0}
    log = {**empty, "key": f"{below}/stdout-0123456789abcdef.log", "bytes": len(_CONTENT)}
    return {
        **ended,
        "logs": {"bucket": "task-logs", "stdout": log, "stderr": empty},
        "metrics": {"series": {"key": f"{below}/series-0123456789abcdef.json"}},
        "objects_named": 0 if kind == KINDS[0] else 1,
        "logs_removed_at": ended["finished_at"] if kind == KINDS[2] else None,
    }


if __name__ == "__main__":
    main()
