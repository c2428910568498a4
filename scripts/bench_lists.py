"""Measures lists of very many tasks: ``make bench-lists``.

Prints how long a list, a page, a label, an id and figures take with 100, 10,000 and 100,000 tasks in the embedded database.
Beside them is the one query with a sort that a list could be, in the same run.
"""

import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from loguru import logger
from pymongo import timeout
from pymongo.errors import PyMongoError

from orchestrator.adapters.mongo.client import mongo_client
from orchestrator.client import Client
from orchestrator.embedded import Embedded
from orchestrator.errors import InfrastructureError
from orchestrator.settings.settings import Settings
from orchestrator.task.document import Task
from orchestrator.task.values import Document
from orchestrator.wiring import connect
from statemachine import State, Trigger

SIZES = (100, 10_000, 100_000)
MONTH = timedelta(days=30)
ROUNDS = 5
_BATCH = 1000
_FILLING = 1800.0
"""Seconds for all of them."""
_PATH = (
    (Trigger.START, State.QUEUED, State.RUNNING),
    (Trigger.WAIT, State.RUNNING, State.COLLECTING),
    (Trigger.COLLECT, State.COLLECTING, State.UPLOADING),
    (Trigger.UPLOAD, State.UPLOADING, State.SUCCEEDED),
)


def main() -> None:
    """Run all measurements; sizes may be given."""
    logger.remove()
    sizes = [int(size) for size in sys.argv[1:]] or SIZES
    with tempfile.TemporaryDirectory(prefix="orchestrator-bench-") as folder, Embedded(Path(folder)) as servers:
        for size in sizes:
            settings = Settings.load({**servers.environment, "MONGO_DB_NAME": f"bench{size}", "LABEL_INDEXES": "lot"})
            client = Client(connect(settings))
            fill(settings, client, size)
            for name, work in works(client, size).items():
                print(f"{size:>7} tasks  {name:<28} {_told(work)}", flush=True)
            print(f"{size:>7} tasks  {'one query with a sort':<28} {_told(_by_sorting(settings))}", flush=True)


def works(client: Client, size: int) -> Mapping[str, Callable[[], object]]:
    """What is measured."""
    half = client.list(limit=min(size // 2, 50))[-1]
    return {
        "list": client.list,
        "list --status failed": lambda: client.list(State.FAILED),
        "list --label team=red": lambda: client.list(labels={"team": "red"}),
        "list --label lot=7, indexed": lambda: client.list(labels={"lot": "7"}),
        "a later page": lambda: client.list(after=half.id),
        "an id by its beginning": lambda: client.id_of(half.id[:12]),
        "stats": client.stats,
    }


def fill(settings: Settings, client: Client, size: int) -> None:
    """Put ended tasks of a month into an empty database."""
    client.services.store.prepare()
    now = datetime.now(UTC)
    with mongo_client(settings) as mongo, timeout(_FILLING):
        for first in range(0, size, _BATCH):
            numbers = range(first, min(first + _BATCH, size))
            some = [dict(document(number, now - MONTH * (number / size))) for number in numbers]
            mongo[settings.mongo_db_name]["tasks"].insert_many(some)


def document(number: int, at: datetime) -> Document:
    """A task that succeeded, as a worker leaves it; one of ten has failed."""
    failed = number % 10 == 0
    history = [
        {"seq": seq, "trigger": str(trigger), "source": str(source), "status": str(status), "at": at, "attempt": 1}
        for seq, (trigger, source, status) in enumerate(_PATH, 1)
    ]
    history[-1]["status"] = str(State.FAILED if failed else State.SUCCEEDED)
    log = {"key": f"{number}/1/stdout-0123456789abcdef.log", "bytes": 10, "sha256": "0" * 64, "truncated": False, "dropped": 0}
    return {
        **Task.blank(),
        "_id": uuid.uuid4().hex,
        "image": "busybox:1",
        "command": ["sh", "-c", "echo hello"],
        "labels": {"team": "red" if number % 2 else "blue", "lot": str(number % 1000)},
        "status": history[-1]["status"],
        "seq": len(history),
        "published": len(history),
        "attempt": 1,
        "history": history,
        "created_at": at,
        "started_at": at,
        "finished_at": at + timedelta(seconds=1),
        "settled": True,
        "cause": "exit" if failed else None,
        "exit_code": int(failed),
        "message": "the program exited",
        "logs": {"bucket": "task-logs", "stdout": log, "stderr": log},
        "nonce": uuid.uuid4().hex,
    }


def _by_sorting(settings: Settings) -> Callable[[], object]:
    tasks = mongo_client(settings)[settings.mongo_db_name]["tasks"]
    return lambda: [*tasks.find({}, sort=[("created_at", -1), ("_id", -1)], limit=50)]


def _told(work: Callable[[], object]) -> str:
    """The median and the most of some calls; or that a call does not answer in time."""
    took = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        try:
            work()
        except (PyMongoError, InfrastructureError):
            return f"no answer within {time.perf_counter() - began:.1f} s"
        took.append((time.perf_counter() - began) * 1000)
    return f"median {statistics.median(took):7.1f} ms, most {max(took):7.1f} ms"


if __name__ == "__main__":
    main()
