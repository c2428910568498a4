"""Runs hostile programs side by side through one worker process, and looks at what each leaves behind."""

import os
import time
import uuid
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from rq import Queue
from rq.serializers import JSONSerializer

from orchestrator.adapters.redis.client import redis_client
from orchestrator.execution.naming import container_name
from statemachine import TERMINAL
from tests.abuse.secrecy import LOOK
from tests.support import pace
from tests.support.abuse_program import Program, Ran, Seen
from tests.support.containers import IMAGE, library
from tests.support.installation import Installation

AT_ONCE = 6 if pace.slowness() == 1 else 2
"""Programs side by side; fewer where the servers beside them would starve."""
PATIENCE = 120.0
CGROUPS = Path("/sys/fs/cgroup")
_PAUSE = 0.2


def wait_for(holds: Callable[[], Any], within: float = PATIENCE) -> Any:
    """What ``holds`` returns once that is true; fails when it is not within so many seconds of a usual machine."""
    deadline = time.monotonic() + pace.seconds(within)
    while not (found := holds()):
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(_PAUSE)
    return found


def memory_of(process: int) -> int:
    """The proportional set size in bytes."""
    for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("the kernel does not tell")


class Bench:
    """One installation, and connections to it. ``baseline`` is the worker's memory once it is warm, ``final`` at the end.

    ``again`` is by how much it changed in each round of repeats.
    """

    def __init__(self, installation: Installation) -> None:
        settings = installation.settings
        self.installation = installation
        self.baseline = self.final = 0
        self.again: list[int] = []
        self.ran: dict[str, Ran] = {}
        self._pool = ThreadPoolExecutor(AT_ONCE)
        self._mongo: MongoClient[dict[str, Any]] = MongoClient(settings.mongo_uri, tz_aware=True)  # waits as long as it takes
        self._tasks = self._mongo[settings.mongo_db_name]["tasks"]
        self._redis = redis_client(settings)
        self._queue = Queue(settings.queue, connection=self._redis, serializer=JSONSerializer)

    def close(self) -> None:
        """Run nothing more, and disconnect."""
        self._pool.shutdown(cancel_futures=True)
        self._mongo.close()
        self._redis.close()

    @property
    def memory(self) -> int:
        """The worker's, now."""
        return memory_of(self.installation.workers[0].pid)

    def warm_up(self, programs: list[Program]) -> None:
        """Let the worker do once what it will do often; what it holds then is its baseline."""
        self._run_all(programs)
        self.baseline = self.memory

    def repeat(self, programs: list[Program]) -> int:
        """Run those again whose ids are not their own, for an id is taken once; by how much the worker's memory changed."""
        before = self.memory
        self._run_all([program for program in programs if "_id" not in program.request])
        self.again.append(self.memory - before)
        return self.again[-1]

    def _run_all(self, programs: list[Program]) -> None:
        for future in [self._pool.submit(self._ended, program.request) for program in programs]:
            future.result()

    def begin(self, program: Program) -> "Future[Ran]":
        """Run it as soon as there is room beside the others."""
        return self._pool.submit(self._run, program)

    def _run(self, program: Program) -> Ran:
        before, began = self.memory, time.monotonic()
        document = self._ended(program.request)
        seconds = time.monotonic() - began
        crowd = max(os.getloadavg()[0] / (os.cpu_count() or 1), 1)
        seen = Seen(document, self._output(document, "stdout"), self._output(document, "stderr"), crowd)
        left = self._left(document)
        following = self._ended({"image": IMAGE, "command": LOOK})
        saw = self._output(following, "stdout") if following["status"] == "succeeded" else following["message"].encode()
        self.ran[program.name] = ran = Ran(program, seen, seconds, before, self.memory, left, saw.decode())
        return ran

    def _ended(self, request: Any) -> dict[str, Any]:
        """Insert and enqueue as any service would; the document once the worker has let go of the task."""
        document = {"_id": uuid.uuid4().hex, "status": "queued", **request}
        self._tasks.insert_one(document)
        self._queue.enqueue("orchestrator.tasks.run_task", document["_id"], job_timeout=-1)
        ended = {"_id": document["_id"], "status": {"$in": [*TERMINAL]}, "settled": True}
        return wait_for(lambda: self._find(ended))

    def _find(self, wanted: dict[str, Any]) -> dict[str, Any] | None:
        assert self.installation.workers[0].poll() is None, "the worker has died"
        return self._tasks.find_one(wanted)

    def _output(self, document: dict[str, Any], stream: str) -> bytes:
        return self.installation.object(document, stream)[0] if document["logs"] else b""

    def _left(self, document: dict[str, Any]) -> list[str]:
        """What the host still has of an ended task; nothing is given a second chance, for its end was stored as settled."""
        wanted = {"label": f"orchestrator.task={document['_id']}"}
        with library() as client:
            things = [
                *client.containers.list(all=True, ignore_removed=True, filters=wanted),
                *client.volumes.list(filters=wanted),
            ]
            left = [thing.name for thing in things]
        if document["container"]:
            name, spool = container_name(document["_id"], 1), self.installation.settings.spool_dir
            left += map(str, [*spool.glob(f"*/{name}"), *CGROUPS.glob(f"{name}*"), *CGROUPS.glob(f"*/{name}*")])
        return left + (_processes(document["container"]["id"]) if document["container"] else [])


def _processes(container: str) -> list[str]:
    """The host's processes that belong to a container."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cgroup"):
        with suppress(OSError):
            if container in path.read_text():
                found.append(path.parent.name)
    return found
