"""Looks in both directions for what is lost or left behind, and mends it: every worker does, for one engine one at a time."""

import random
import shutil
import time
from collections.abc import Callable, Hashable, Iterable, Iterator
from datetime import datetime
from enum import StrEnum
from math import inf
from pathlib import Path
from typing import cast

from attrs import frozen
from loguru import logger

from orchestrator.errors import InfrastructureError
from orchestrator.event import Event
from orchestrator.kind import shown
from orchestrator.ports import Engine, EventBus, Head, Mutex, Queue, TaskStore
from orchestrator.records import LONGEST_LEASE, Document
from orchestrator.request import is_id
from orchestrator.run import container_name, named
from orchestrator.task import Task, readable
from statemachine import TERMINAL

_LOOKED_AT = 200
_LINE = 2000


class Kind(StrEnum):
    """What can be done about something."""

    ADOPT = "adopt"
    TAKE_OVER = "take over"
    ENQUEUE = "enqueue"
    SETTLE = "settle"
    REMOVE = "remove"
    DISCARD = "discard"


@frozen
class Action:
    """One thing to be done, to a task or to the container or spool of that name, and why."""

    kind: Kind
    subject: str
    why: str


@frozen
class Graces:
    """Seconds: how old something without a task must be, and how long a task waits for its own engine's workers."""

    orphan: float
    engine: float


@frozen
class Sweep:
    """Plans what is to be done, and does it. ``adopt`` runs a task that is bound to an engine, beside those from the queue."""

    store: TaskStore
    queue: Queue
    events: EventBus
    engine: Engine
    mutex: Mutex
    spool_dir: Path
    graces: Graces
    adopt: Callable[[str, str], None]

    def once(self, ttl: float) -> list[Action]:
        """Sweep for about ``ttl`` seconds unless another worker of this engine is at it; what was done.

        What fails is left for a later sweep and holds up nothing else. Raises InfrastructureError when it cannot look.
        """
        ends = time.monotonic() + ttl
        with self.mutex.hold(f"sweep:{self.store.deployment()}:{self.engine.identity()}", ttl) as held:
            actions = _in_turn(self.plan()) if held else []
            return [action for action in actions if time.monotonic() < ends and self._is_done(action)]

    def plan(self) -> list[Action]:
        """What there is to do; does nothing. Raises InfrastructureError."""
        return [*self._tasks(), *self._waiting(), *self._ended(), *self._containers(), *self._spools()]

    def _tasks(self) -> Iterator[Action]:
        """Tasks that were begun and that nobody holds."""
        now, here = self.store.now(), self.engine.identity()
        documents = self.store.active()
        yield from _foreign(documents, here)
        for task in readable(documents):
            late = _late(task, now)
            if late > 0 and task.engine in {None, here}:
                yield Action(Kind.ADOPT, task.id, f"{task.status}, and its worker has not been heard of for {late:.0f} s")
            elif late > self.graces.engine:
                yield Action(Kind.TAKE_OVER, task.id, f"{task.status}, and its engine has had no worker for {late:.0f} s")

    def _waiting(self) -> Iterator[Action]:
        """Queued tasks that nobody holds and that are not in line."""
        now, here = self.store.now(), self.engine.identity()
        documents = self.store.waiting(_LOOKED_AT)
        yield from _foreign(documents, here)
        free = [task for task in readable(documents) if _late(task, now) > 0]
        line = self.queue.first(_LINE) if free else Head(frozenset(), whole=True)
        missing = [task.id for task in free if task.engine is None and task.id not in line.task_ids]
        if missing and not line.whole:  # they may stand further back
            missing = [random.choice(missing)]  # noqa: S311
        for task in free:
            if task.engine == here:
                yield Action(Kind.ADOPT, task.id, "queued, and its worker died before it could tell whether it had started it")
            elif task.id in missing:
                yield Action(Kind.ENQUEUE, task.id, "queued, but not in line")
            elif task.engine is not None and _late(task, now) > self.graces.engine:
                yield Action(Kind.TAKE_OVER, task.id, "queued for an engine that has no worker")

    def _ended(self) -> Iterator[Action]:
        now, here = self.store.now(), self.engine.identity()
        for task in readable(self.store.unsettled(_LOOKED_AT)):
            ours = task.container is None or task.container.engine == here
            if _late(task, now) > (0 if ours else self.graces.engine):
                yield Action(Kind.SETTLE, task.id, f"{task.status}, but not all of it is published and released")

    def _containers(self) -> Iterator[Action]:
        for owned in self.engine.owned(self.store.deployment()):
            if owned.age > self.graces.orphan and (why := self._orphaned(owned.task_id, owned.attempt)):
                yield Action(Kind.REMOVE, owned.name, why)

    def _spools(self) -> Iterator[Action]:
        """Folders are named as their containers are."""
        for folder in self.spool_dir.iterdir() if self.spool_dir.is_dir() else ():
            owner = named(folder.name)
            if owner and _age(folder) > self.graces.orphan and (why := self._orphaned(*owner)):
                yield Action(Kind.DISCARD, folder.name, why)

    def _orphaned(self, task_id: str, attempt: int) -> str | None:
        """Why nobody will need what belongs to this attempt; None when somebody may."""
        document = self.store.find(task_id)
        if document is None:
            return "its task is unknown"
        if document.get("status") in [*TERMINAL]:  # a status may be anything, also what cannot be hashed
            return "its task has ended"
        current = document.get("attempt") or 1
        return f"its task is at attempt {current}" if isinstance(current, int) and attempt < current else None

    def _is_done(self, action: Action) -> bool:
        try:
            self._do(action)
        except InfrastructureError as error:
            logger.warning("sweep: {} {} is put off: {}", action.kind, action.subject, error)
            return False
        return True

    def _do(self, action: Action) -> None:
        with logger.contextualize(task=action.subject):
            logger.info("sweep: {}, because it is {}", action.kind, action.why)
            match action.kind:
                case Kind.ADOPT:
                    self.adopt(action.subject, self.engine.identity())
                case Kind.TAKE_OVER:
                    self._take_over(action.subject)
                case Kind.ENQUEUE:
                    self.queue.enqueue(action.subject)
                case Kind.SETTLE:
                    self._settle(action.subject)
                case Kind.REMOVE:
                    self.engine.remove(action.subject, self.store.deployment())
                case Kind.DISCARD:
                    shutil.rmtree(self.spool_dir / action.subject, ignore_errors=True)

    def _take_over(self, task_id: str) -> None:
        """Claimed as a task of its engine, which is given up with the attempt: the next one is made here."""
        document = self.store.find(task_id)
        if document and isinstance(engine := document.get("engine"), str):
            self.adopt(task_id, engine)

    def _settle(self, task_id: str) -> None:
        """Do what its worker had left to do when it died: publish what is stored, and release."""
        found = self.store.find(task_id)
        for task in readable([found] if found else []):
            for entry in task.history[task.published :]:
                self.events.publish(Event.of(task, entry))
            name = container_name(task.id, max(task.attempt, 1))
            if is_id(task.id):
                self.engine.remove(name, self.store.deployment())
                shutil.rmtree(self.spool_dir / name, ignore_errors=True)
            self.store.settle(task.id, task.seq)


def _foreign(documents: Iterable[Document], here: str) -> Iterator[Action]:
    """What no worker wrote is ended like any task that nobody holds; its runner finds out what is wrong with it.

    Of a document whose id is a document itself there is no more than the line in the log.
    """
    for document in documents:
        task_id, engine = document["_id"], document.get("engine")
        if isinstance(task_id, Hashable) and not any(readable([document])):
            elsewhere = isinstance(engine, str) and engine not in {"", here}
            kind = Kind.TAKE_OVER if elsewhere else Kind.ADOPT
            yield Action(kind, cast("str", task_id), f"{shown(document.get('status'))}, but it cannot be read")


def _in_turn(actions: Iterable[Action]) -> list[Action]:
    """What brings tasks on comes first; the rest, which waits for the engine, in any order, so that none is always behind."""
    return sorted(actions, key=lambda action: (action.kind in _CLEANING, random.random()))  # noqa: S311


def _late(task: Task, now: datetime) -> float:
    """Seconds since the lease ran out, or since a task that nobody has held yet should have been in line.

    A time that cannot be, written by a foreign hand or a wrong clock, holds nothing up.
    """
    if task.lease:
        late = (now - task.lease.expires_at).total_seconds()
        return late if late > -LONGEST_LEASE else inf
    age = inf if task.created_at is None else (now - task.created_at).total_seconds()
    return age - _INSERTED if age >= 0 else inf


def _age(folder: Path) -> float:
    try:
        return time.time() - folder.stat().st_mtime
    except FileNotFoundError:
        return 0.0


_CLEANING = frozenset({Kind.SETTLE, Kind.REMOVE, Kind.DISCARD})
_INSERTED = 3.0
"""Seconds that a client may take between inserting a task and enqueueing it."""
