"""Removes ended tasks, and what object storage has of them, so that a crash anywhere leaves nothing that nobody finds.

A task is marked first, then its objects are removed, then its document. A marked task keeps its id taken, so no other task's
objects can be below it. Somebody who was held up in between asks for the mark again before each request that removes objects.
"""

import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, islice

from attrs import frozen

from orchestrator.errors import InfrastructureError
from orchestrator.execution.attempt_output import ARTIFACTS
from orchestrator.log import logger
from orchestrator.ports import ObjectStore, Part, TaskStore
from orchestrator.ports.documents import deletion_of
from orchestrator.task.request import is_id
from orchestrator.task.stored_keys import keys_of
from orchestrator.task.values import Document

_REQUEST = 1000
"""Objects that are removed at once."""
_LISTS = 4
"""Tasks whose objects are looked up at once."""
_FOLDER = 2
"""The place of the folder in a key: task, attempt, then ``artifacts``, or the name of a log."""


@frozen
class Removal:
    """Every call may be made again, and goes on where an earlier one ended."""

    store: TaskStore
    objects: ObjectStore
    check: Callable[[], None] = lambda: None
    """Raises WrongDatabase when the database is not the own one; asked after a read, for it may be another since a moment."""
    over: Callable[[], bool] = lambda: False
    """Whether the time is up: then the objects that are left wait for a later call, and their tasks with them."""

    forget: Callable[[Collection[str]], None] = lambda _: None
    """Drops what the tasks have left for those who follow output. What it cannot drop goes by itself after some time."""

    def delete(self, nonces: Mapping[str, object]) -> frozenset[str]:
        """Mark those of the tasks {id: nonce} that have ended and are settled, and delete these; which ones."""
        self.check()
        self.store.mark_deleting(nonces, uuid.uuid4().hex)
        return self.finish(nonces)

    def finish(self, task_ids: Collection[str]) -> frozenset[str]:
        """Delete those of the tasks that are marked; which ones."""
        found = self._looked_up(self.store.naming, task_ids)
        marks = {task_id: mark for task_id, document in found.items() if (mark := deletion_of(document)) is not None}

        def still(ids: Collection[str]) -> Collection[str]:
            standing = self._looked_up(self.store.standing, ids)
            return {task_id for task_id, document in standing.items() if deletion_of(document) == marks[task_id]}

        if not self._clear({task_id: found[task_id] for task_id in marks}, {*Part}, still):
            return frozenset()
        try:
            self.forget(marks)
        except InfrastructureError as error:
            logger.warning("live output of deleted tasks is left to expire: {}", error)
        self.store.delete(marks)
        return frozenset(marks)

    def strip(self, nonces: Mapping[str, object], part: Part) -> bool:
        """Remove the logs, or the artifacts, of all attempts of the tasks {id: nonce}, and note it in their documents.

        False when the time is up before all are removed: then nothing is noted.
        """

        def still(ids: Collection[str]) -> Collection[str]:
            standing = self._looked_up(self.store.standing, ids)
            return {task_id for task_id, document in standing.items() if document.get("nonce") == nonces[task_id]}

        removed = self._clear(self._looked_up(self.store.naming, nonces), {part}, still)
        if removed:
            self.store.note_removed(part, nonces)
        return removed

    def _clear(
        self,
        documents: Mapping[str, Document],
        parts: Collection[Part],
        still: Callable[[Collection[str]], Collection[str]],
    ) -> bool:
        """Remove these parts of those of the tasks of which it still holds when the request is made; whether all are.

        One request is made in any case, so that each call gets on.
        """
        keys = (key for key in self._keys(documents) if _part(key) in parts)
        some = [*islice(keys, _REQUEST)]
        while some:
            owners = still({_owner(key) for key in some})
            self.objects.remove([key for key in some if _owner(key) in owners])
            some = [*islice(keys, _REQUEST)]
            if some and self.over():
                return False
        return True

    def _keys(self, documents: Mapping[str, Document]) -> Iterator[str]:
        """What is listed below the ids, then what the documents name. A list for each task takes most of the time.

        A list tells what an earlier call has left. The names do not: so they are last, and no more than one request removes.
        """
        named: list[str] = []
        unnamed: list[str] = []
        for task_id in filter(is_id, documents):
            keys = _named(task_id, documents[task_id])
            if keys is None or len(named) + len(keys) > _REQUEST:
                unnamed.append(task_id)
            else:
                named += keys
        return chain(self._listed(unnamed), named)

    def _listed(self, task_ids: Sequence[str]) -> Iterator[str]:
        """An id that is not valid has nothing, but could name what another task has: a/1 is below a. It is not among these."""
        if len(task_ids) <= 1:
            yield from chain.from_iterable(map(self._below, task_ids))
            return
        with ThreadPoolExecutor(_LISTS) as pool:
            yield from chain.from_iterable(pool.map(self._below, task_ids))

    def _below(self, task_id: str) -> Sequence[str]:
        return [found.key for found in self.objects.listed(f"{task_id}/")]

    def _looked_up(
        self, look: Callable[[Collection[str]], Mapping[str, Document]], task_ids: Collection[str]
    ) -> Mapping[str, Document]:
        found = look(task_ids)
        self.check()
        return found


def _named(task_id: str, document: Document) -> Sequence[str] | None:
    """The keys that are left of the task; None if the worker that ended it did not know all of them."""
    keys = [*keys_of(document)]
    known = document.get("objects_named") == (document.get("attempt") or 1)
    if not known or any(_owner(key) != task_id for key in keys):
        return None
    return [key for key in keys if document.get(f"{_part(key)}_removed_at") is None]


def _owner(key: str) -> str:
    return key.partition("/")[0]


def _part(key: str) -> Part:
    """What of a task the object is."""
    return Part.ARTIFACTS if key.split("/")[_FOLDER : _FOLDER + 1] == [ARTIFACTS] else Part.LOGS
