"""Removes ended tasks, and what object storage has of them, so that a crash anywhere leaves nothing that nobody finds.

A task is marked first, then its objects are removed, then its document. A marked task keeps its id taken, so no other task's
objects can be below it. Somebody who was held up in between asks for the mark again before each request that removes objects.
"""

import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, islice

from attrs import frozen

from orchestrator.execution.attempt_output import ARTIFACTS
from orchestrator.ports import ObjectStore, Part, TaskStore
from orchestrator.ports.documents import deletion_of
from orchestrator.task.request import is_id
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

    def delete(self, nonces: Mapping[str, object]) -> frozenset[str]:
        """Mark those of the tasks {id: nonce} that have ended and are settled, and delete these; which ones."""
        self.check()
        self.store.mark_deleting(nonces, uuid.uuid4().hex)
        return self.finish(nonces)

    def finish(self, task_ids: Collection[str]) -> frozenset[str]:
        """Delete those of the tasks that are marked; which ones."""
        marks = self._marks(task_ids)

        def still(ids: Collection[str]) -> Collection[str]:
            return {task_id for task_id, mark in self._marks(ids).items() if mark == marks[task_id]}

        if not self._clear(marks, lambda _: True, still):
            return frozenset()
        self.store.delete(marks)
        return frozenset(marks)

    def strip(self, nonces: Mapping[str, object], part: Part) -> bool:
        """Remove the logs, or the artifacts, of all attempts of the tasks {id: nonce}, and note it in their documents.

        False when the time is up before all are removed: then nothing is noted.
        """
        removed = self._clear(nonces, lambda key: _part(key) is part, lambda ids: self._same(ids, nonces))
        if removed:
            self.store.note_removed(part, nonces)
        return removed

    def _clear(
        self,
        task_ids: Iterable[str],
        wanted: Callable[[str], bool],
        still: Callable[[Collection[str]], Collection[str]],
    ) -> bool:
        """Remove the wanted objects of those of the tasks of which it still holds when the request is made; whether all are.

        One request is made in any case, so that each call gets on.
        """
        keys = filter(wanted, self._keys([*task_ids]))
        some = [*islice(keys, _REQUEST)]
        while some:
            owners = still({_owner(key) for key in some})
            self.objects.remove([key for key in some if _owner(key) in owners])
            some = [*islice(keys, _REQUEST)]
            if some and self.over():
                return False
        return True

    def _keys(self, task_ids: Sequence[str]) -> Iterator[str]:
        """What is below the ids. Each is listed by itself, which takes most of the time."""
        if len(task_ids) == 1:
            yield from self._below(task_ids[0])
            return
        with ThreadPoolExecutor(_LISTS) as pool:
            yield from chain.from_iterable(pool.map(self._below, task_ids))

    def _below(self, task_id: str) -> list[str]:
        """One that is no valid id has nothing, but could name what another task has: a/1 is below a."""
        return [found.key for found in self.objects.listed(f"{task_id}/")] if is_id(task_id) else []

    def _marks(self, task_ids: Collection[str]) -> dict[str, str]:
        """The tokens of the deletions of those that are marked."""
        marks = {task_id: deletion_of(document) for task_id, document in self._standing(task_ids).items()}
        return {task_id: mark for task_id, mark in marks.items() if mark is not None}

    def _same(self, task_ids: Collection[str], nonces: Mapping[str, object]) -> Collection[str]:
        found = self._standing(task_ids)
        return {task_id for task_id, document in found.items() if document.get("nonce") == nonces[task_id]}

    def _standing(self, task_ids: Collection[str]) -> Mapping[str, Document]:
        standing = self.store.standing(task_ids)
        self.check()
        return standing


def _owner(key: str) -> str:
    return key.partition("/")[0]


def _part(key: str) -> Part:
    """What of a task the object is."""
    return Part.ARTIFACTS if key.split("/")[_FOLDER : _FOLDER + 1] == [ARTIFACTS] else Part.LOGS
