"""Removes what has been kept for long enough, and what somebody has begun to delete: a little in each sweep, oldest first."""

import random
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta

from attrs import evolve, frozen

from orchestrator.errors import InfrastructureError, WrongDatabase
from orchestrator.log import logger
from orchestrator.ports import Part, SharedLock
from orchestrator.reconcile.reconciler import Action, Kind
from orchestrator.reconcile.removal import Removal
from orchestrator.task.values import Document

_LOOK = 500
"""Tasks that are looked up at once."""
_BATCH = 100
"""Tasks that are removed at once."""
_LOCK_FOR = 60.0
"""Seconds after which another worker goes on where this one died, or waits for object storage."""


@frozen
class KeepTimes:
    """Seconds after its end that a task, its logs and its artifacts are kept; 0: for ever, or as long as the task."""

    tasks: float
    logs: float
    artifacts: float


@frozen
class _Duty:
    """One kind of thing to be done: to which tasks, at most so many at once, and how; it tells which are done."""

    kind: Kind
    why: str
    look: Callable[[int], Iterable[Document]]
    do: Callable[[Mapping[str, object]], Collection[str]]


@frozen
class Retention:
    """One worker of a deployment at a time."""

    removal: Removal
    lock: SharedLock
    deployment: str
    times: KeepTimes

    def once(self, seconds: float) -> list[Action]:
        """Remove for about so many seconds, unless another worker is at it; what was done.

        What fails is left for a later call. Raises InfrastructureError when nothing can be looked up.
        """
        ends = time.monotonic() + seconds
        timed = evolve(self, removal=evolve(self.removal, over=lambda: time.monotonic() >= ends))
        with self.lock.hold(f"retention:{self.deployment}", _LOCK_FOR) as held:
            return [action for duty in timed.duties() for action in _done(duty, ends)] if held else []

    def plan(self, limit: int = _LOOK) -> list[Action]:
        """What there is to do, at most ``limit`` of each kind; does nothing. Raises InfrastructureError."""
        return [Action(duty.kind, str(each["_id"]), duty.why) for duty in self.duties() for each in duty.look(limit)]

    def duties(self) -> Sequence[_Duty]:
        """First what somebody waits for; then in any order, so that none is always behind."""
        times = self.times
        lasting = [(part, seconds) for part, seconds in ((Part.LOGS, times.logs), (Part.ARTIFACTS, times.artifacts)) if seconds]
        parts = [self._strip(part, seconds) for part, seconds in lasting if not 0 < times.tasks <= seconds]
        tasks = [self._delete(times.tasks)] if times.tasks else []
        duties = [*tasks, self._outlived(), *parts]
        return [self._finish(), *random.sample(duties, len(duties))]

    def _finish(self) -> _Duty:
        return _Duty(Kind.DELETE, "its deletion has begun", self.removal.store.deleting, self.removal.finish)

    def _delete(self, seconds: float) -> _Duty:
        def look(limit: int) -> Iterable[Document]:
            store = self.removal.store
            return store.expired(store.now() - timedelta(seconds=seconds), limit)

        return _Duty(Kind.DELETE, "it ended longer than KEEP_TASKS ago", look, self.removal.delete)

    def _outlived(self) -> _Duty:
        def look(limit: int) -> Iterable[Document]:
            store = self.removal.store
            return store.outlived(store.now(), limit)

        return _Duty(Kind.DELETE, "it ended longer than its own time ago", look, self.removal.delete)

    def _strip(self, part: Part, seconds: float) -> _Duty:
        def look(limit: int) -> Iterable[Document]:
            store = self.removal.store
            now = store.now()
            since = now - timedelta(seconds=self.times.tasks) if self.times.tasks else None
            return store.with_output(part, since, now - timedelta(seconds=seconds), limit)

        def strip(nonces: Mapping[str, object]) -> Collection[str]:
            return nonces if self.removal.strip(nonces, part) else ()

        kind = Kind.REMOVE_LOGS if part is Part.LOGS else Kind.REMOVE_ARTIFACTS
        return _Duty(kind, f"it ended longer than KEEP_{part.upper()} ago", look, strip)


def _done(duty: _Duty, ends: float) -> Iterator[Action]:
    """What was done of a duty until the time is over, nothing is left, or nothing more can be done.

    It tries one batch at least: a look may take all the time.
    """
    done = True
    while done and (found := {str(document["_id"]): document.get("nonce") for document in duty.look(_LOOK)}):
        done = False
        for ids in _batches([*found]):
            for task_id in _tried(duty, {task_id: found[task_id] for task_id in ids}):
                done = True
                yield Action(duty.kind, task_id, duty.why)
            if time.monotonic() >= ends:
                return


def _tried(duty: _Duty, nonces: Mapping[str, object]) -> Collection[str]:
    try:
        done = duty.do(nonces)
    except (InfrastructureError, WrongDatabase) as error:
        logger.warning("retention: {} {} tasks is put off: {}", duty.kind, len(nonces), error)
        return ()
    if done:
        logger.info("retention: {} {} tasks, because {}", duty.kind, len(done), duty.why)
    return done


def _batches(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    """In any order, so that tasks whose objects cannot be removed are not always before the others."""
    starts = range(0, len(ids), _BATCH)
    return (ids[start : start + _BATCH] for start in random.sample(starts, len(starts)))
