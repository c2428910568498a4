"""The periodic maintenance of the queue by a worker. It knows RQ's keys, but no worker and no task."""

import time
from collections.abc import Callable, Collection
from typing import cast

from attrs import define, field
from rq import Queue
from rq.worker_registration import clean_worker_registry

from orchestrator.adapters.redis.job import bury_abandoned
from orchestrator.log import logger
from orchestrator.metrics import declarations as metrics
from orchestrator.metrics.measurements import Measurements

_PUT_BACK = """
if redis.call('LREM', KEYS[1], 1, ARGV[1]) == 0 then return 0 end
return redis.call('LPUSH', KEYS[2], ARGV[1])
"""
_LEFT_BEHIND = 3


@define
class PeriodicTask:
    """A job that is done every so many seconds, for the first time at once. More frequent calls do nothing."""

    every: float
    do: Callable[[], None]
    _due: float = field(default=0.0, init=False)

    def __call__(self) -> None:
        """Do it if it is due. A failure counts as done until the next time."""
        if time.monotonic() >= self._due:
            self._due = time.monotonic() + self.every
            self.do()


@define
class Rescue:
    """Puts entries back into the queue that a worker took and did not begin, because it died or lost Redis's answer.

    RQ itself would fail such a job, after 10 to 20 minutes. A worker leaves an entry on the intermediate list for milliseconds.
    An entry that is there at three looks in a row was left behind. If a slow worker still holds it, this does no harm: the
    second delivery finds the task claimed. When Redis was away, an entry's worker may still pause before it tries again, so the
    looks before this do not count. ``outages`` is how often it was away.
    """

    queue: Queue
    measured: Measurements = field(factory=Measurements)
    outages: Callable[[], int] = lambda: 0
    _looks: dict[bytes, int] = field(factory=dict, init=False)
    _known_outages: int = field(default=0, init=False)

    def __call__(self) -> None:
        """Look once."""
        if (outages := self.outages()) != self._known_outages:
            self._known_outages = outages
            self._looks.clear()
        entries = cast("list[bytes]", self.queue.connection.lrange(self.queue.intermediate_queue_key, 0, -1))
        self._looks = {entry: self._looks.get(entry, 0) + 1 for entry in entries}
        for entry in [entry for entry, looks in self._looks.items() if looks >= _LEFT_BEHIND]:
            self._put_back(entry)

    def _put_back(self, entry: bytes) -> None:
        # in one step, so that only one of several workers puts it back; at the head, where it was
        keys = (self.queue.intermediate_queue_key, self.queue.key)
        if self.queue.connection.eval(_PUT_BACK, len(keys), *keys, entry):
            self.measured.count(metrics.RESCUED)
            logger.warning("queue entry {!r} was taken but not begun: put back in line", entry)
        del self._looks[entry]


def clean(queue: Queue, functions: Collection[str]) -> None:
    """Drop expired entries from RQ's registries. A job whose worker died goes to the failed jobs.

    One worker at a time does this.
    """
    if not queue.acquire_maintenance_lock():
        return
    try:
        queue.finished_job_registry.cleanup()
        queue.failed_job_registry.cleanup()
        bury_abandoned(queue, functions)
        clean_worker_registry(queue)
    except (ValueError, TypeError, AttributeError) as error:
        logger.error("RQ's registries hold something unreadable: {}", error)
    finally:
        queue.release_maintenance_lock()  # type: ignore[no-untyped-call]
