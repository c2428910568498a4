"""Looks through object storage for what belongs to no task: what a worker that was held up put after its task was deleted."""

import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import islice

from attrs import frozen

from orchestrator.execution.attempt_output import ARTIFACTS, SERIES
from orchestrator.ports import ObjectStore, StoredObject, Stream, TaskStore
from orchestrator.task.request import is_id

_PAGE = 1000
"""Objects whose tasks are looked up at once, and that are removed at once."""
_LOG = rf"({'|'.join(Stream)})-[0-9a-f]{{16}}\.log"
_ARTIFACT = rf"{ARTIFACTS}/[0-9a-f]{{16}}-[0-9a-f]{{16}}"
_SERIES = rf"{SERIES}-[0-9a-f]{{16}}\.json"
_OURS = re.compile(rf"([^/]+)/[0-9]+/({_LOG}|{_ARTIFACT}|{_SERIES})")
"""The keys that workers make. An object with any other is somebody else's."""


@frozen
class StrayObjects:
    """Objects whose task is not in the database and that were stored longer than ``grace`` seconds ago.

    ``now`` is this host's clock, and the storage's is another: so the grace is to be longer than they may differ.
    """

    store: TaskStore
    objects: ObjectStore
    grace: float
    now: Callable[[], datetime]
    check: Callable[[], None] = lambda: None
    """Raises WrongDatabase when the database is not the own one; asked after a read, for it may be another since a moment."""

    def found(self) -> Iterator[str]:
        """Their keys, in order."""
        for page in self._pages():
            yield from page

    def count(self) -> tuple[int, int]:
        """How many there are, and of how many tasks."""
        objects, tasks, last = 0, 0, ""
        for key in self.found():
            objects += 1
            tasks += _owner(key) != last
            last = _owner(key)
        return objects, tasks

    def remove(self) -> Iterator[str]:
        """Remove them; the keys of those that are removed, as they go. Raises InfrastructureError."""
        for page in self._pages():
            self.objects.remove(page)
            yield from page

    def _pages(self) -> Iterator[list[str]]:
        """Their tasks are looked up just before: an id that was free may be used again at any time."""
        old = (found.key for found in self.objects.listed() if _is_ours(found.key) and self._is_old(found))
        while some := [*islice(old, _PAGE)]:
            standing = self.store.standing({_owner(key) for key in some})
            self.check()
            if strays := [key for key in some if _owner(key) not in standing]:
                yield strays

    def _is_old(self, found: StoredObject) -> bool:
        return found.modified_at < self.now() - timedelta(seconds=self.grace)


def _is_ours(key: str) -> bool:
    match = _OURS.fullmatch(key)
    return match is not None and is_id(match[1])


def _owner(key: str) -> str:
    return key.partition("/")[0]
