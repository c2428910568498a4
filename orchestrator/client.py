"""What a program that hands in tasks needs: submit, look, follow, read the output and the artifacts.

It is above the wiring, so that one class is enough: ``from_env`` lets the wiring choose the adapters, and tests and commands
pass services of their own.
"""

import builtins
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from importlib import import_module
from itertools import chain, islice, repeat
from typing import Self, TypeVar, cast

from orchestrator.app import Services, now
from orchestrator.cause import Cause
from orchestrator.errors import (
    STORAGE,
    AmbiguousId,
    DuplicateTask,
    InfrastructureError,
    InvalidTask,
    NotEnded,
    NotSettled,
    OrchestratorError,
    UnknownTask,
    WrongDatabase,
)
from orchestrator.log import logger
from orchestrator.outcome.series import Series
from orchestrator.outcome.stats import Stats, stats
from orchestrator.output.following import Missed, Position, news
from orchestrator.ports import JobInfo, LiveEntry, NewTask, Piece, Point, Search, Stream
from orchestrator.ports.documents import is_removable
from orchestrator.retrying import SUBSCRIPTION
from orchestrator.settings.environment import environment, names_api
from orchestrator.settings.settings import Settings
from orchestrator.task.artifact import Artifact
from orchestrator.task.document import Task, readable
from orchestrator.task.event import Event
from orchestrator.task.request import parse_request
from orchestrator.task.units import FOREVER
from orchestrator.task.validation import shown
from orchestrator.task.values import Document
from orchestrator.wiring import Server, connect
from statemachine import TERMINAL, State

T = TypeVar("T")
_SHORTEST = 4
"""Characters of an id that may stand for all of it."""
_NAMED = 5
"""Ids that a message names."""
_RUNNING = 10_000
"""Tasks that are told of while they run."""
_AT_ONCE = 100
"""Tasks that are deleted together."""
_IN_A_BATCH = 250
"""Tasks that are handed in together: Redis answers nobody else until all of them are in line."""
_USED = frozenset({Server.MONGODB, Server.REDIS})
"""What handing in a task takes: nothing of it may be refused once the task is stored."""


class Client:
    """A view of the tasks. Safe to share between threads. As a context manager it is closed at the end of the block."""

    def __init__(self, services: Services) -> None:
        self.services = services

    @classmethod
    def from_env(cls) -> Self:
        """A client of the servers that this process's environment names, or of those of an `orchestrator up`.

        What is not set in the environment is looked for in the file ``.orchestrator/env``, which `up` keeps, of the current
        folder or one above it. Nothing is connected before it is used. Raises SettingsError. What object storage and Docker
        are told is read when they are used, which most programs do not: that, too, may raise it.

        With ORCHESTRATOR_URL, and without MONGO_URI, it is a client of the HTTP API there, with the same methods.
        """
        variables = environment()
        settings = Settings.load(variables)
        if names_api(variables):
            return cast("Self", import_module("orchestrator.http_client.blocking").HttpClient.of(settings))
        return cls(connect(settings, _USED))

    def close(self) -> None:
        """Close the connections. What the client has begun to read or to watch is to be finished before."""
        self.services.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def submit(self, request: Mapping[str, object], task_id: str | None = None) -> Task:
        """Store a task and put it in line; ``request`` has the fields that its owner writes.

        Raises InvalidTask that names every bad field, and DuplicateTask; then nothing is stored. Raises InfrastructureError
        when a server is away: the task may be stored by then, and is run. With an id of your own it is safe to try again.
        """
        deployment = self.services.deployment
        task = Task.from_document(self.services.store.insert(self._checked(request, task_id)))
        self.services.intake.take_in([_new(task, deployment)])
        return task

    def submit_many(
        self, requests: Iterable[Mapping[str, object]], task_ids: Iterable[str | None] | None = None
    ) -> builtins.list[Task | InvalidTask | DuplicateTask]:
        """Store many tasks and put them in line, in their order; for each the task, or the error that ``submit`` raises.

        An error of one task changes nothing for the others. ``task_ids`` are the ids of the tasks, if they have ids of their
        own; None among them: any. Raises ValueError unless there is one for each request. Raises InfrastructureError when a
        server is away: some of the tasks may be stored by then, and are run. With ids of your own it is safe to try again.
        """
        named = iter(_named(requests, task_ids))
        results: builtins.list[Task | InvalidTask | DuplicateTask] = []
        while some := [*islice(named, _IN_A_BATCH)]:
            results += self._submit_together(some)
        return results

    def _submit_together(
        self, some: Iterable[tuple[Mapping[str, object], str | None]]
    ) -> builtins.list[Task | InvalidTask | DuplicateTask]:
        deployment = self.services.deployment
        checked = [self._checked_or_not(request, task_id) for request, task_id in some]
        answers = iter(self.services.store.insert_many([each for each in checked if not isinstance(each, InvalidTask)]))
        stored = [each if isinstance(each, InvalidTask) else next(answers) for each in checked]
        results = [each if isinstance(each, OrchestratorError) else Task.from_document(each) for each in stored]
        self.services.intake.take_in([_new(each, deployment) for each in results if isinstance(each, Task)])
        return results

    def _checked(self, request: Mapping[str, object], task_id: str | None) -> Document:
        """The document of a new task. Raises InvalidTask."""
        task_id = uuid.uuid4().hex if task_id is None else task_id
        parse_request(task_id, request, self.services.settings.rules)
        own = {"status": State.QUEUED.value, "seq": 0, "created_at": now(), "nonce": uuid.uuid4().hex}
        return {**request, "_id": task_id, **own}

    def _checked_or_not(self, request: Mapping[str, object], task_id: str | None) -> Document | InvalidTask:
        try:
            return self._checked(request, task_id)
        except InvalidTask as error:
            return error

    def check(self, task_id: str, request: Mapping[str, object]) -> None:
        """Raise InvalidTask as ``submit`` would, as far as it is known here."""
        parse_request(task_id, request, self.services.settings.rules)

    def reach(self) -> None:
        """Raise InfrastructureError when a task cannot be handed in now."""
        self.services.deployment  # noqa: B018  asks the database

    def expect_workers(self) -> str:
        """That no worker takes tasks now, in a sentence; empty when one does. Raises InfrastructureError."""
        if self.services.queue.workers():
            return ""
        return f"no worker takes tasks from queue {self.services.settings.queue!r} now"

    def slots(self) -> tuple[int, int]:
        """How many slots of the workers are taken, and how many there are, as the workers last told."""
        workers = self.services.queue.records()
        return sum(len(worker.tasks) for worker in workers), sum(worker.slots for worker in workers)

    def get(self, task_id: str) -> Task:
        """The task as stored. Raises UnknownTask."""
        return task_of(task_id, self.services.store.find(task_id))

    def id_of(self, beginning: str) -> str:
        """The only id that begins so, of 4 characters or more; else the text as it is, which may be the id of a task.

        An id that is itself the beginning of others means itself. Raises AmbiguousId that names what else it may mean.
        """
        if len(beginning) < _SHORTEST:
            return beginning
        found = self._ids(beginning, _NAMED + 1)
        if not found or found[0] == beginning:
            return beginning
        if len(found) > 1:
            more = " and others" if len(found) > _NAMED else ""
            raise AmbiguousId(f"several ids begin with {beginning!r}: {', '.join(found[:_NAMED])}{more}; give more of it")
        return found[0]

    def _ids(self, prefix: str, limit: int) -> Sequence[str]:
        return self.services.store.ids(prefix, limit)

    def list(
        self,
        status: State | None = None,
        limit: int = 50,
        *,
        cause: Cause | None = None,
        image: str | None = None,
        labels: Mapping[str, str] | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        after: str | None = None,
    ) -> list[Task]:
        """The newest tasks first; only those with all that is given, created at ``since`` or later and before ``until``.

        A time without a zone is one of UTC. ``after`` is the id of the last task of an earlier list: the next ones follow.
        """
        search = Search(status, cause, image, labels or {}, _zoned(since), after, _zoned(until))
        return builtins.list(readable(self.services.store.list(search, limit)))

    def stats(self, window: float = 3600.0) -> Stats:
        """The figures of the last ``window`` seconds: what waits, how much gets done, how long it takes, how it ends.

        When more tasks ended in this time than can be looked at, the window is shorter: it has the last 20,000, or the last
        500 in the embedded database, which tells only how many of the newest 500 tasks have ended, too.
        """
        if not 1 <= window < FOREVER:
            raise ValueError(f"window: must be a number of seconds from 1 to below 30 years, not {window!r}")
        return stats(self.services.store, self.services.queue, now(), window)

    def watch(self, task_id: str, after_seq: int = -1) -> Iterator[Event]:
        """Every event of the task after ``after_seq``, once each and in order, to the last one; then it ends.

        What Pub/Sub lost, or a server that was away, is read from the store. Raises UnknownTask, and InfrastructureError when
        a server stays away for RETRY_BUDGET.
        """
        seen = after_seq

        def events() -> Iterator[Event | None]:
            nonlocal seen
            with self.services.events.subscribe(task_id) as arriving:
                for heard in chain([None], arriving):
                    for event in self._news(task_id, seen, heard):
                        seen = event.seq
                        yield event
                        if event.is_last:
                            return
                    yield None

        return self._patiently(events)

    def follow(
        self,
        task_id: str,
        offsets: Mapping[Stream, int] | None = None,
        *,
        attempt: int | None = None,
        after_seq: int = -1,
        gaps: bool = False,
        samples: bool = False,
    ) -> Iterator[Piece | Missed | Point | Event]:
        """The output while the program runs, and every event after ``after_seq``. The last event comes last, then it ends.

        The bytes of each stream come in order and each once, from ``offsets`` on, which count from the beginning of the stored
        object. Together they are what is stored. When a program writes faster than is sent, a Missed tells how much
        follows when the log is stored; with ``gaps`` the output goes on behind it, and what was missed does not follow.

        A task that is tried again begins at offset 0: then ``Piece.attempt`` is higher. To go on later, give the offset
        behind the last piece of each stream and its ``attempt``. Without it, the offsets are taken for those of the present
        attempt. With ``samples`` also a Point about each second: what the program uses. Raises as ``watch`` does.
        """
        task = self.get(task_id)
        position = Position(offsets, (task.attempt if offsets else 0) if attempt is None else attempt, gaps=gaps)
        seen = after_seq

        def entries() -> Iterator[Piece | Missed | Point | Event | None]:
            nonlocal seen
            with self._entries(task_id, samples=samples) as arriving:
                for heard in chain([None], arriving):
                    if isinstance(heard, Point):
                        yield from position.pass_on(heard)
                        continue
                    if isinstance(heard, Piece):
                        yield from position.take(heard)
                        continue
                    for event in self._news(task_id, seen, heard):
                        if event.is_last:
                            yield from self.rest(task_id, position)
                        seen = event.seq
                        yield event
                        if event.is_last:
                            return
                    yield None

        return self._patiently(entries)

    def _entries(self, task_id: str, *, samples: bool) -> AbstractContextManager[Iterator[LiveEntry | None]]:
        live, deployment = self.services.live, self.services.deployment
        return live.follow(deployment, task_id, points=samples) if live else self.services.events.subscribe(task_id)

    def rest(self, task_id: str, position: Position) -> Iterator[Piece | Missed]:
        """What is stored behind the position of a follower; nothing once the logs were removed. Raises UnknownTask."""
        task = self.get(task_id)
        position.begin(task.attempt)
        if task.logs_removed_at:
            return
        for stream in Stream:
            if task.logs and task.logs.of(stream).bytes > position.at(stream):
                for data in self.logs(task_id, stream, position.at(stream)):
                    yield from position.take(Piece(position.attempt, stream, position.at(stream), data))

    def _patiently(self, source: Callable[[], Iterator[T | None]]) -> Iterator[T]:
        """What ``source`` yields, but for None. After an error it is called again and goes on where it was.

        Raises InfrastructureError when nothing has come for RETRY_BUDGET.
        """
        heard_at = time.monotonic()
        while True:
            try:
                for each in source():
                    heard_at = time.monotonic()
                    if each is not None:
                        yield each
            except InfrastructureError as error:
                if time.monotonic() > heard_at + self.services.settings.retry_budget:
                    raise
                logger.debug("the connection is sought again: {}", error)
                time.sleep(SUBSCRIPTION.delay(1))
            else:
                return

    def _news(self, task_id: str, seen: int, heard: Event | None) -> builtins.list[Event]:
        """The task's events after ``seen``, now that ``heard`` has come, or nothing for a while."""
        told = news(heard, seen, self.services.deployment)
        return Event.all_of(self.get(task_id), seen, self.services.deployment) if told is None else told

    def cancel(self, task_id: str) -> Task:
        """Ask for the task to be cancelled; once or often makes no difference. Raises UnknownTask.

        A task that has not started never will; one that runs is ended and keeps its output. Once its outcome is stored, or it
        has ended, the task stays as it is. In a database that is not the deployment's own, as a copy, the request is stored and
        nothing is ended: the container may be that of the original's task.
        """
        document = self.services.store.request_cancel(task_id)
        if document is None:
            raise UnknownTask(f"there is no task {task_id!r}")
        if document["status"] == State.QUEUED:
            self._end_queued(task_id)
        return self.get(task_id)

    def _end_queued(self, task_id: str) -> None:
        try:
            self.services.expect_own_database()
        except WrongDatabase as error:
            logger.warning("only the request is stored: {}", error)
        else:
            self.services.runner.cancel_queued(task_id)

    def delete(self, task_id: str) -> None:
        """Delete an ended task: its logs and artifacts, then its document. Raises UnknownTask when there is none.

        Raises NotEnded, or NotSettled while its worker still has to release something of it, which takes some seconds. Raises
        WrongDatabase in a copy, whose objects may be those of the original. After an InfrastructureError the task may be
        marked as being deleted: then it is in no list, and a later call, or a sweep, deletes the rest.
        """
        document = self.expect_removable(task_id)
        gone = self.services.removal.delete({task_id: document.get("nonce")})
        if not gone and self.services.store.find(task_id) is not None:
            raise NotSettled(f"task {task_id!r} changed just now; try again")

    def expect_removable(self, task_id: str) -> Document:
        """The document of a task that can be deleted, or is being deleted. Raises UnknownTask, NotEnded and NotSettled."""
        document = self.services.store.find(task_id)
        if document is None:
            raise UnknownTask(f"there is no task {task_id!r}")
        status = document.get("status")
        if status not in [*TERMINAL]:
            raise NotEnded(f"task {task_id!r} has not ended, it is {shown(status)}; cancel it first, or wait for its end")
        if not is_removable(document):
            raise NotSettled(
                f"task {task_id!r} has ended, but its worker has not released all that it had; try again in some seconds"
            )
        return document

    def delete_all(self, tasks: Iterable[Task]) -> Iterator[str]:
        """Delete those of the tasks that have ended and are settled, many at once; the ids of these, as they go.

        A task that is not there, or whose id another task has by now, is passed over. Raises as ``delete`` does, but not
        NotEnded and UnknownTask.
        """
        left = iter(tasks)
        while some := [*islice(left, _AT_ONCE)]:
            yield from sorted(self.services.removal.delete({task.id: task.nonce for task in some}))

    def logs(self, task_id: str, stream: Stream | str, offset: int = 0, *, attempt: int | None = None) -> Iterator[bytes]:
        """The bytes of one stream of a task whose log is stored, from ``offset`` on. UnknownTask when it is not, or no more.

        That of the last attempt; ``attempt`` is the number of one that another followed. A stream may be named by text, too:
        "stdout" or "stderr"; anything else raises ValueError.
        """
        task = self.get(task_id)
        logs = task.logs
        if attempt is not None:
            logs = next((past.logs for past in task.attempts if past.attempt == attempt), None)
        if logs is None:
            raise UnknownTask(f"task {task_id!r} has no stored log{f' of attempt {attempt}' if attempt else ''}")
        if task.logs_removed_at:
            raise UnknownTask(
                f"the logs of task {task_id!r} were kept for a time only: removed on {_day(task.logs_removed_at)}"
            )
        log = logs.of(Stream(stream))
        return self._object(task, log.key, offset) if log.bytes else iter(())

    def series(self, task_id: str, attempt: int | None = None) -> Series | None:
        """What an ended attempt used over time, the last one unless ``attempt`` says which; None when nothing is stored of it.

        It is removed with the logs. Raises UnknownTask when there is no such task.
        """
        task = self.get(task_id)
        metrics = task.metrics
        if attempt not in {None, max(task.attempt, 1)}:
            metrics = next((past.metrics for past in task.attempts if past.attempt == attempt), None)
        if metrics is None or metrics.series is None or task.logs_removed_at:
            return None
        try:
            return Series.from_json(b"".join(self._object(task, metrics.series.key)))
        except ValueError as error:
            raise InfrastructureError(STORAGE, f"object {metrics.series.key} cannot be read: {error}") from None

    def running(self) -> builtins.list[tuple[Task, Point | None]]:
        """The tasks whose programs run, the first started first, each with the last point that is known of what it uses."""
        tasks = self.list(State.RUNNING, _RUNNING)
        points = self._points([task.id for task in tasks]) if tasks else {}
        return [(task, points.get(task.id)) for task in sorted(tasks, key=_start)]

    def _points(self, task_ids: builtins.list[str]) -> Mapping[str, Point]:
        live = self.services.live
        return live.latest(self.services.deployment, task_ids) if live else {}

    def artifacts(self, task_id: str) -> tuple[Artifact, ...]:
        """The files that were kept of an ended task's /out, also after retention has removed them. Raises UnknownTask."""
        return self.get(task_id).artifacts_stored

    def artifact(self, task_id: str, path: str, offset: int = 0) -> Iterator[bytes]:
        """The bytes of one of them from ``offset`` on, by its path below /out. Raises UnknownTask when none is kept so."""
        task = self.get(task_id)
        for artifact in task.artifacts_stored:
            if artifact.path == path:
                if task.artifacts_removed_at:
                    on = _day(task.artifacts_removed_at)
                    raise UnknownTask(f"the artifacts of task {task_id!r} were kept for a time only: removed on {on}")
                return self._object(task, artifact.key, offset)
        raise UnknownTask(f"task {task_id!r} has no stored artifact {path!r}")

    def _object(self, task: Task, key: str, offset: int = 0) -> Iterator[bytes]:
        """The object, if it is the task's own. A foreign hand may have named another task's object."""
        owner, *rest = key.split("/")
        if owner != task.id or not rest or {"", ".", ".."} & {*rest}:
            raise UnknownTask(f"the document of task {task.id!r} names an object that is not its own")
        return self.services.logs.get(key, offset)


def _start(task: Task) -> datetime:
    return task.started_at or datetime.max.replace(tzinfo=UTC)


def _day(at: datetime) -> str:
    return f"{at:%Y-%m-%d}"


def _named(
    requests: Iterable[Mapping[str, object]], task_ids: Iterable[str | None] | None
) -> Iterable[tuple[Mapping[str, object], str | None]]:
    """Each request with its id. Raises ValueError unless there is one for each, before any of them is handed in."""
    if task_ids is None:
        return zip(requests, repeat(None), strict=False)
    return builtins.list(zip(requests, task_ids, strict=True))


def _zoned(at: datetime | None) -> datetime | None:
    return at.replace(tzinfo=UTC) if at is not None and at.tzinfo is None else at


def _new(task: Task, deployment: str) -> NewTask:
    return NewTask(Event.all_of(task, deployment=deployment)[0], JobInfo.of(task.id, task.request, deployment))


def task_of(task_id: str, document: Document | None) -> Task:
    """The task of a document that was looked for. Raises UnknownTask when there is none, or it is being deleted."""
    if document is None:
        raise UnknownTask(f"there is no task {task_id!r}")
    task = Task.from_document(document)
    if task.deleting:
        raise UnknownTask(f"task {task_id!r} is being deleted")
    return task
