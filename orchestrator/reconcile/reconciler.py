"""Finds and mends lost tasks and leftover resources. Every worker does this; for one engine, one worker at a time."""

import random
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from enum import StrEnum
from itertools import chain, islice
from pathlib import Path

from attrs import field, frozen

from orchestrator.cause import Cause
from orchestrator.errors import ContainerMissing, InfrastructureError, OrchestratorError, Postponed, WrongDatabase
from orchestrator.execution.naming import container_name, named, spool_folder
from orchestrator.log import logger
from orchestrator.output.spool import discard, folders
from orchestrator.ports import Engine, EventBus, Free, JobInfo, ObjectStore, Queue, SharedLock, TaskStore
from orchestrator.reconcile.task_stub import Glimpse
from orchestrator.task.document import readable
from orchestrator.task.event import Event
from orchestrator.task.labels import TASK
from orchestrator.task.request import is_id
from orchestrator.task.validation import shown
from orchestrator.task.values import Document
from statemachine import TERMINAL

_LINE = 2000
_MOST = 200
"""The most tasks that one sweep enqueues."""


class Kind(StrEnum):
    """The kinds of actions."""

    ADOPT = "adopt"
    TAKE_OVER = "take over"
    ENQUEUE = "enqueue"
    SETTLE = "settle"
    REMOVE = "remove"
    DISCARD = "discard"
    REMOVE_IMAGE = "remove image"
    DELETE = "delete"
    REMOVE_LOGS = "remove logs of"
    REMOVE_ARTIFACTS = "remove artifacts of"


@frozen
class Action:
    """One action, and its reason: on a task, on the container or spool of this name, or on the image of this id.

    ``nonce`` is the nonce of the container; None: any. ``begun`` says that a task to be adopted has certainly begun.
    """

    kind: Kind
    subject: str
    why: str
    nonce: str | None = None
    begun: bool = True


@frozen
class GracePeriods:
    """Seconds: the least age of a resource without a task, and the time that a task waits for the workers of its engine.

    ``spool`` is the least age of the spool of a log that could not be stored.
    """

    orphan: float
    engine: float
    spool: float


@frozen
class Sweep:
    """Plans actions and does them."""

    store: TaskStore
    queue: Queue
    events: EventBus
    engine: Engine
    lock: SharedLock
    deployment: str
    spool_dir: Path
    objects: ObjectStore
    graces: GracePeriods
    adopt: Callable[[str, str], None]
    """Runs a task that has begun and is bound to an engine, beside those from the queue. Raises Postponed if there is no
    place."""
    resume: Callable[[str, str], None]
    """The same for a task that waits or has to begin again."""
    holds: Callable[[str], bool] = lambda _: False
    """Whether this process has the task. Then it is not lost, even if its lease is renewed late."""
    check: Callable[[], None] = lambda: None
    """Raises WrongDatabase if the database is not this deployment's. It is called after a read, because the database may have
    just changed."""
    _again: set[str] = field(factory=set, init=False)
    """The tasks that were put in line, and that the part of the queue that was read last does not show."""

    def once(self, ttl: float) -> list[Action]:
        """Sweep for about ``ttl`` seconds, unless another worker of this engine sweeps. Returns the actions that were done.

        A failed action is left for a later sweep and does not block the others. Raises InfrastructureError if it gets no lock.
        """
        ends = time.monotonic() + ttl
        done: list[Action] = []
        with self.lock.hold(f"sweep:{self.deployment}:{self.engine.identity()}", ttl) as held:
            if not held:
                return done
            for look in self._looks:
                if time.monotonic() < ends:
                    done.extend(self._mended(look, ends))
        return done

    def _mended(self, look: Callable[[], Iterator[Action]], ends: float) -> Iterator[Action]:
        """The actions of a look that were done.

        At least one is tried, so that a look that takes all the time is not useless.
        """
        for action in _seen(look):
            try:
                if self._is_done(action):
                    yield action
            except Postponed as full:
                logger.info("the sweep leaves tasks for later: {}", full)
                return
            if time.monotonic() >= ends:
                return

    def plan(self) -> list[Action]:
        """The actions that are due, without doing them. Raises InfrastructureError."""
        return [action for look in self._looks for action in look()]

    @property
    def _looks(self) -> Sequence[Callable[[], Iterator[Action]]]:
        """First the looks that move tasks on.

        Then, in random order, the looks that may wait for the engine, so that none is always last.
        """
        return (
            self._tasks,
            self._bound,
            self._waiting,
            self._spools,
            *random.sample([self._ended, self._containers], 2),
            self._images,
        )

    def _tasks(self) -> Iterator[Action]:
        """Tasks that have begun and that no worker holds."""
        free = self._free
        for task in self._lost(self.store.active(free), free):
            late = task.late(free.now)
            if late > 0 and task.engine in {None, free.engine}:
                yield Action(
                    Kind.ADOPT, task.id, f"{shown(task.status)}, and its worker has not been heard of for {late:.0f} s"
                )
            elif late > self.graces.engine:
                yield Action(
                    Kind.TAKE_OVER, task.id, f"{shown(task.status)}, and its engine has had no worker for {late:.0f} s"
                )

    def _bound(self) -> Iterator[Action]:
        """Queued tasks without a holder that may have begun, or that are bound to an engine."""
        free = self._free
        for task in self._lost(self.store.bound(free), free):
            if task.engine == free.engine:
                why = "queued, and its worker died before it could tell whether it had started it"
                yield Action(Kind.ADOPT, task.id, why, begun=False)
            elif task.late(free.now) > self.graces.engine:
                yield Action(Kind.TAKE_OVER, task.id, "queued for an engine that has no worker")

    def _waiting(self) -> Iterator[Action]:
        """Queued tasks without a holder that are not in the queue. Tasks in the queue do not block the others.

        If the queue is too long to be read whole, one task is enqueued, which may then be in the queue twice. The same process
        does not enqueue it again, or a long queue would grow with each sweep. The queue takes only strings.
        """
        free = self._free
        tasks = self._lost(self.store.waiting(_LINE + _MOST, free), free)
        if (first := next(tasks, None)) is None:
            return
        head = self.queue.first(_LINE, self.deployment)
        missing = [*islice((task.id for task in chain([first], tasks) if str(task.id) not in head.task_ids), _MOST)]
        names = [task_id for task_id in missing if isinstance(task_id, str)]
        self._again.intersection_update(names)
        if not head.whole:
            names = [name for name in names if name not in self._again]
            names = random.sample(names, min(len(names), 1))
        for name in names:
            yield Action(Kind.ENQUEUE, name, "queued, but not in line")
        for task_id in missing:
            if not isinstance(task_id, str):
                yield Action(Kind.ADOPT, task_id, "queued, but its id is no name", begun=False)

    @property
    def _free(self) -> Free:
        return Free(self.store.now(), self.engine.identity(), self.graces.engine)

    def _lost(self, documents: Iterable[Document], free: Free) -> Iterator[Glimpse]:
        """The tasks that no worker holds, out of as many as a sweep can handle."""
        stubs = map(Glimpse.of, islice(documents, _LINE + _MOST))
        return (task for task in stubs if task.late(free.now) > 0 and not self.holds(task.id))

    def _ended(self) -> Iterator[Action]:
        free = self._free
        for task in map(Glimpse.of, self.store.unsettled(_LINE, free)):
            if task.late(free.now) > (0 if task.home in {None, free.engine} else self.graces.engine):
                yield Action(Kind.SETTLE, task.id, f"{shown(task.status)}, but not all of it is published and released")

    def _containers(self) -> Iterator[Action]:
        old = [owned for owned in self.engine.owned(self.deployment) if owned.age > self.graces.orphan]
        standing = self._standing({owned.task_id for owned in old})
        for owned in old:
            if why := _orphaned(standing.get(owned.task_id), owned.attempt, owned.nonce):
                yield Action(Kind.REMOVE, owned.name, why, owned.nonce)

    def _images(self) -> Iterator[Action]:
        for image in self.engine.unwanted_images():
            yield Action(Kind.REMOVE_IMAGE, image, "pulled for tasks, and none has used it for IMAGE_TTL")

    def _spools(self) -> Iterator[Action]:
        """A folder has the name of its container. The folders in it have the nonces of the tasks that had this name."""
        old = [spooled for spooled in _spooled(self.spool_dir) if _age(spooled[0]) > self.graces.orphan]
        standing = self._standing({task_id for _, task_id, _, _ in old})
        for folder, task_id, attempt, nonce in old:
            document = standing.get(task_id)
            kept = _is_unstored(document) and _age(folder) <= self.graces.spool
            if (why := _orphaned(document, attempt, nonce)) and not kept:
                yield Action(Kind.DISCARD, str(folder.relative_to(self.spool_dir)), why)

    def _standing(self, task_ids: Collection[str]) -> Mapping[str, Document]:
        """The existing ones of these tasks.

        Resources of all others are removed, so the answer must come from the right database.
        """
        standing = self.store.standing(task_ids)
        if task_ids:
            self.check()
        return standing

    def _is_done(self, action: Action) -> bool:
        try:
            self._do(action)
        except Postponed:
            raise
        except OrchestratorError as error:
            logger.warning("sweep: {} {} is put off: {}", action.kind, action.subject, error)
            return False
        except Exception:  # noqa: BLE001  a bug that one task meets must not keep the sweep from all others
            logger.exception("sweep: {} {} is put off, for the sweep has a fault", action.kind, action.subject)
            return False
        return True

    def _do(self, action: Action) -> None:
        with logger.contextualize(task=action.subject):
            logger.info("sweep: {}, because it is {}", action.kind, action.why)
            match action.kind:
                case Kind.ADOPT:
                    adopt = self.adopt if action.begun else self.resume
                    adopt(action.subject, self.engine.identity())
                case Kind.TAKE_OVER:
                    self._take_over(action.subject)
                case Kind.ENQUEUE:
                    document = self.store.find(action.subject) or {}
                    self.queue.enqueue(action.subject, JobInfo.of(action.subject, document, self.deployment))
                    self._again.add(action.subject)
                case Kind.SETTLE:
                    self._settle(action.subject)
                case Kind.REMOVE:
                    self.engine.remove(action.subject, self.deployment, action.nonce)
                case Kind.REMOVE_IMAGE:
                    self.engine.remove_image(action.subject)
                case Kind.DISCARD:
                    discard(self.spool_dir / action.subject)

    def _take_over(self, task_id: str) -> None:
        """Claim the task for its engine, and give up the engine with the attempt. The next attempt is made here."""
        document = self.store.find(task_id)
        if document and isinstance(engine := document.get("engine"), str):
            self.resume(task_id, engine)

    def _settle(self, task_id: str) -> None:
        """Finish the work of a dead worker: publish the stored events, and release the resources.

        An unreadable task has no events to publish, because no worker wrote it.
        """
        found = self.store.find(task_id)
        if found is None:
            return
        task = next(readable([found]), None)
        if task:
            for event in Event.all_of(task, task.published, self.deployment):
                self.events.publish(event)
        if task and is_id(task.id):
            name = container_name(task.id, max(task.attempt, 1))
            self.engine.remove(name, self.deployment, task.nonce or "")
            if not task.is_stranded:
                discard(spool_folder(self.spool_dir, name, task.nonce))
            for key in task.own_parts:
                self.objects.abort_parts(key)
        self.store.settle(task_id, found.get("nonce"), task.seq if task else 0)


def end_overdue(engine: Engine, grace: float, holds: Callable[[str], bool] = lambda _: False) -> int:
    """End programs that run longer than their label allows, of any deployment; how many. Worker and database may be lost.

    Needs only the engine, and uses its clock, which may jump. So tasks that this process ``holds`` are left out: the process
    has a better clock for them. A later holder of the task finds that its time was up. Raises InfrastructureError.
    """
    ended = 0
    for container in engine.overdue():
        with suppress(ContainerMissing):
            if holds(engine.inspect(container).labels.get(TASK, "")):
                continue
        logger.warning("container {} is ended: its time limit is long over, and its worker has not ended it", container[:12])
        engine.stop(container, grace)
        ended += 1
    return ended


def _spooled(spool_dir: Path) -> Iterator[tuple[Path, str, int, str | None]]:
    """Each folder of a task, with the task's id, the attempt, and the nonce.

    The nonce is None unless the folder has only folders.
    """
    for folder in folders(spool_dir):
        if owner := named(folder.name):
            inner = _inside(folder)
            if inner and all(each.is_dir() for each in inner):
                yield from ((each, *owner, None if _has_files(each) else each.name) for each in inner)
            else:
                yield folder, *owner, None


def _has_files(folder: Path) -> bool:
    """Whether the folder belongs to a holder, because there is no level of nonces. Then its name is not a nonce."""
    return any(not each.is_dir() for each in _inside(folder))


def _inside(folder: Path) -> list[Path]:
    """What is in it; nothing if its worker has removed it meanwhile."""
    with suppress(FileNotFoundError):
        return [*folder.iterdir()]
    return []


def _orphaned(document: Document | None, attempt: int, nonce: str | None) -> str | None:
    """Why the resources of this attempt are not needed; None if they may be needed."""
    if document is None:
        return "its task is unknown"
    if nonce not in {None, document.get("nonce") or ""}:
        return "its task was deleted, and another has its id"
    if document.get("status") in [*TERMINAL]:  # a status may be any value, also one that cannot be hashed
        return "its task has ended"
    current = document.get("attempt") or 1
    return f"its task is at attempt {current}" if isinstance(current, int) and attempt < current else None


def _is_unstored(document: Document | None) -> bool:
    """Whether the task has ended without its log, so that an operator may still need the spool."""
    return document is not None and document.get("cause") == Cause.UPLOAD and document.get("logs") is None


def _seen(look: Callable[[], Iterator[Action]]) -> list[Action]:
    """The actions of a look. Oldest first. Cleanup is shuffled so that one slow item cannot block the rest.

    If a look fails, for example because the engine is away, the other looks go on.
    """
    try:
        actions = [*look()]
    except (InfrastructureError, WrongDatabase) as error:
        logger.warning("the sweep leaves something out: {}", error)
        return []
    if any(action.kind in _CLEANING for action in actions):
        random.shuffle(actions)
    return actions


def _age(folder: Path) -> float:
    try:
        return time.time() - folder.stat().st_mtime
    except FileNotFoundError:
        return 0.0


_CLEANING = frozenset({Kind.SETTLE, Kind.REMOVE, Kind.DISCARD, Kind.REMOVE_IMAGE})
