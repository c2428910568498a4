"""One installation for the fault suite: servers, an engine, worker processes with kill points, and tasks that are known."""

import os
import uuid
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import docker
from attrs import evolve

from orchestrator.adapters.mongo.client import mongo_client
from orchestrator.adapters.redis.queue import RqQueue
from orchestrator.adapters.s3.client import minio_client
from orchestrator.app import Services
from orchestrator.client import Client
from orchestrator.settings.settings import Settings
from orchestrator.wiring import connect
from tests.support import pace
from tests.support.containers import IMAGE, WHERE
from tests.support.fault_form import long
from tests.support.fault_nursery import Child, Nursery
from tests.support.fault_programs import ENDED, Program
from tests.support.fault_starts import Starts
from tests.support.fault_subscriber import Listener, Subscriber
from tests.support.fault_wait import PATIENCE, until

Document = Mapping[str, Any]
_GRACE = 3
"""Seconds of the orphan grace in the short form, which waits for it often; in the long form it is the product's own."""


class Site:
    """A block in which workers run. ``direct`` are the settings for looking from outside, past any proxy.

    ``removed`` are the tasks that lost a container to a fault, ``retries`` is how many retries each task asked for.
    """

    def __init__(self, environment: Mapping[str, str], folder: Path, direct: Mapping[str, str] | None = None) -> None:
        base = {
            "DOCKER_HOST": WHERE,
            "SPOOL_DIR": str(folder / "spool"),
            "PULL_POLICY": "never",
            "REGISTRIES_ALLOWED": "127.0.0.1:*",
            "DEFAULT_MEMORY": "64m",
            **({} if long() else {"ORPHAN_GRACE": str(_GRACE)}),
        }
        self.environment = {**base, **environment}
        self.direct = {**self.environment, **(direct or {})}
        self.folder = folder
        self.programs: dict[str, Program] = {}
        self.retries: dict[str, int] = {}
        self.subscribers: dict[str, Subscriber] = {}
        self.orphans: list[str] = []
        self.removed: set[str] = set()

    @property
    def settings(self) -> Settings:
        """The settings that look past proxies."""
        return Settings.load(self.direct)

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.services: Services = connect(self.settings)
        self.services.prepare()
        self.client = Client(self.services)
        self.mongo = mongo_client(self.settings)
        self.docker = docker.DockerClient(base_url=self.settings.docker_host, version="auto")
        self.listener = Listener(self.settings)
        self.starts = Starts(self.settings.docker_host, self.services.deployment)
        self.nursery = Nursery.start(self.folder)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.nursery.__exit__(kind, error, at)
        for subscriber in self.subscribers.values():
            subscriber.close()
        self.listener.close()
        self.starts.close()
        try:
            self._clean()
        finally:
            self.docker.close()
            self.mongo.close()
            self.services.store.close()
            self.services.engine.close()

    def worker(self, name: str, at: str = "", with_signal: str = "SIGKILL", **environment: str) -> Child:
        """Start a worker; ``at`` is the point at which it gets the signal."""
        child = self.nursery.fork({**self.environment, **environment}, name, at, with_signal)
        child.says("jobs at once")
        return child

    def survivor(self, name: str = "survivor", at: str = "", with_signal: str = "SIGKILL", **environment: str) -> Child:
        """A worker that takes tasks from a queue that nobody fills, so it has only what others left."""
        return self.worker(name, at, with_signal, **{"QUEUE": f"{self.environment['QUEUE']}-{name}", **environment})

    def submit(self, program: Program, queue: str | None = None, **request: object) -> str:
        """Hand in a task for the workers of a queue, and follow it. A time limit is in seconds of a usual machine."""
        task_id = uuid.uuid4().hex
        self.programs[task_id] = program
        self.retries[task_id] = int(str(request.get("retries", 0)))
        client = self.client if queue is None else Client(evolve(self.services, queue=self._queue(queue)))
        client.submit({"image": IMAGE, "command": ["sh", "-c", program.script], **_paced(request)}, task_id)
        self.follow(task_id)
        return task_id

    def garble(self) -> str:
        """Store a task that no worker could have written; it is followed from when somebody has ended it."""
        task_id = uuid.uuid4().hex
        self.programs[task_id] = Program("", b"", b"", "failed", "invalid")
        self.mongo[self.settings.mongo_db_name]["tasks"].insert_one({"_id": task_id, "status": "running", "history": 5})
        return task_id

    def follow(self, task_id: str) -> None:
        """Follow a task from its beginning, unless it is followed already."""
        if task_id not in self.subscribers:
            self.subscribers[task_id] = Subscriber(self.client, task_id)

    def uploading(self) -> list[str]:
        """The keys of objects that were begun and are not complete."""
        begun = minio_client(self.settings)._list_multipart_uploads(self.settings.minio_bucket)
        return [str(upload.object_name) for upload in begun.uploads]

    def begin_parts(self, task_id: str) -> None:
        """Begin an object of the task as a dead worker has that sent output ahead."""
        key = f"{task_id}/1/stdout-0123456789abcdef.log"
        self.mongo[self.settings.mongo_db_name]["tasks"].update_one({"_id": task_id}, {"$push": {"parts_begun": key}})
        self.services.logs.begin_parts(key)

    def document(self, task_id: str) -> dict[str, Any]:
        """The task as MongoDB has it."""
        return dict(self.mongo[self.settings.mongo_db_name]["tasks"].find_one({"_id": task_id}) or {})

    def status(self, task_id: str) -> str:
        """Its status as stored."""
        return str(self.document(task_id)["status"])

    def reaches(self, task_id: str, *states: str, within: float = PATIENCE) -> None:
        """Wait until the task is in one of the states."""
        until(lambda: self.status(task_id) in states, within)

    def count_open(self, task_ids: Sequence[str]) -> int:
        """How many of the tasks have not ended."""
        query = {"_id": {"$in": [*task_ids]}, "status": {"$nin": [*ENDED]}}
        return self.mongo[self.settings.mongo_db_name]["tasks"].count_documents(query)

    def ended(self, task_ids: Iterable[str], within: float = PATIENCE) -> None:
        """Wait until all have ended."""
        until(lambda: not self.count_open([*task_ids]), within)

    def containers(self, task_id: str) -> list[str]:
        """Containers and volumes that the engine has of a task."""
        wanted = {"label": f"orchestrator.task={task_id}"}
        found = [
            *self.docker.containers.list(all=True, ignore_removed=True, filters=wanted),
            *self.docker.volumes.list(filters=wanted),
        ]
        return [thing.name for thing in found]

    def spooled(self) -> list[Path]:
        """Files that are left in the spool."""
        return [Path(folder, name) for folder, _, names in os.walk(self.environment["SPOOL_DIR"]) for name in names]

    def _queue(self, name: str) -> RqQueue:
        return RqQueue(evolve(self.settings, queue=name))

    def _clean(self) -> None:
        """Remove what a failed test, or a worker that was killed, has left on the engine: containers, volumes, groups."""
        mine = {*self.programs, *self.orphans}
        for left in self.services.engine.owned(self.services.deployment):
            if left.task_id in mine:
                self.services.engine.remove(left.name, self.services.deployment)


def _paced(request: Mapping[str, Any]) -> Mapping[str, Any]:
    limits = request.get("limits", {})
    return {**request, "limits": {**limits, "timeout": pace.seconds(limits["timeout"])}} if "timeout" in limits else request
