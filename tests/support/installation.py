"""A worker process on real servers, used as a service in another language would use it: raw MongoDB, RQ, Redis and S3."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from attrs import define, field
from rq import Queue
from rq.serializers import JSONSerializer

from orchestrator.adapters.mongo.client import mongo_client
from orchestrator.adapters.redis.client import redis_client
from orchestrator.adapters.s3.client import minio_client
from orchestrator.embedded import Embedded
from orchestrator.settings.settings import Settings
from statemachine import TERMINAL
from tests.support import pace
from tests.support.containers import IMAGE, library
from tests.support.servers import corners
from tests.support.worker_process import until

PATIENCE = 60.0


@define
class Installation:
    """Where everything is, and the worker processes that were started there."""

    environment: Mapping[str, str]
    folder: Path
    workers: list["subprocess.Popen[bytes]"] = field(factory=list)

    @property
    def settings(self) -> Settings:
        """The settings of its processes."""
        return Settings.load(self.environment)

    def start(self, *command: str, **environment: str) -> "subprocess.Popen[bytes]":
        """Start a worker process: ours, or the one whose command line is given."""
        argv = command or (sys.executable, "-m", "orchestrator", "worker")
        log = self.folder / f"worker-{len(self.workers)}.log"
        with log.open("wb") as sink:
            worker = subprocess.Popen(argv, stderr=sink, stdout=sink, env={**os.environ, **self.environment, **environment})
        self.workers.append(worker)
        return worker

    def stop(self) -> None:
        """End all workers; fail when one does not heed SIGTERM."""
        for worker in self.workers:
            worker.send_signal(signal.SIGTERM)
        for worker in self.workers:
            worker.wait(pace.seconds(PATIENCE))

    def submit(self, command: object, time_limit: int = -1, **document: object) -> str:
        """Insert a document and enqueue its id, with no help from our client; ``time_limit`` is RQ's, in seconds."""
        task_id = str(document.pop("_id", uuid.uuid4().hex))
        with mongo_client(self.settings) as mongo:
            tasks = mongo[self.settings.mongo_db_name]["tasks"]
            tasks.insert_one({"_id": task_id, "status": "queued", "image": IMAGE, "command": command, **document})
        self.deliver(task_id, time_limit)
        return task_id

    def deliver(self, task_id: str, time_limit: int = -1) -> None:
        """Enqueue an id."""
        with redis_client(self.settings) as redis:
            queue = Queue(self.settings.queue, connection=redis, serializer=JSONSerializer)
            queue.enqueue("orchestrator.tasks.run_task", task_id, job_timeout=time_limit)

    def document(self, task_id: str) -> dict[str, Any]:
        """The task as it is stored."""
        with mongo_client(self.settings) as mongo:
            return dict(mongo[self.settings.mongo_db_name]["tasks"].find_one({"_id": task_id}) or {})

    def ended(self, task_id: str) -> dict[str, Any]:
        """Wait for the task's end; the document then."""
        until(lambda: self.document(task_id)["status"] in TERMINAL, PATIENCE)
        return self.document(task_id)

    def object(self, document: Mapping[str, Any], stream: str) -> tuple[bytes, Mapping[str, str]]:
        """A stream's object and its metadata, read back from S3; an empty stream has none."""
        entry = document["logs"][stream]
        if not entry["key"]:
            assert (entry["bytes"], entry["sha256"]) == (0, hashlib.sha256().hexdigest())
            return b"", {}
        response = minio_client(self.settings).get_object(document["logs"]["bucket"], entry["key"])
        try:
            return response.read(), response.headers
        finally:
            response.close()
            response.release_conn()

    @contextmanager
    def heard(self) -> Iterator["Listening"]:
        """What a subscriber of the channel ``tasks`` hears from now on."""
        with redis_client(self.settings) as redis, redis.pubsub() as pubsub:
            pubsub.subscribe("tasks")
            until(lambda: pubsub.get_message(timeout=1))
            yield Listening(pubsub)

    def containers_of(self, task_id: str) -> list[str]:
        """The containers that the engine has of a task."""
        with library() as client:
            wanted = {"label": f"orchestrator.task={task_id}"}
            return [container.name for container in client.containers.list(all=True, ignore_removed=True, filters=wanted)]


@contextmanager
def one_worker(servers: Embedded, folder: Path) -> Iterator[Installation]:
    """An installation with one worker on the servers; at the end the worker leaves, and no file is left in its spool."""
    corner = next(corners(servers.environment))
    installation = Installation({**corner.environment, "SPOOL_DIR": str(folder / "spool"), "PULL_POLICY": "never"}, folder)
    installation.start()
    yield installation
    installation.stop()
    assert not [path for path in (folder / "spool").rglob("*") if path.is_file()]
    corner.wipe()


class Listening(list[dict[str, Any]]):
    """The events heard so far."""

    def __init__(self, pubsub: Any) -> None:
        super().__init__()
        self._pubsub = pubsub

    def of(self, task_id: str) -> list[dict[str, Any]]:
        """Listen until the last event of a task; all that were heard of it."""
        deadline = time.monotonic() + pace.seconds(PATIENCE)
        while not any(event["task_id"] == task_id and event["status"] in TERMINAL for event in self):
            assert time.monotonic() < deadline, f"no last event of {task_id}: {list(self)}"
            message = self._pubsub.get_message(ignore_subscribe_messages=True, timeout=1)
            if message:
                self.append(json.loads(message["data"]))
        return [event for event in self if event["task_id"] == task_id]
