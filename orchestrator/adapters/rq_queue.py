"""The queue of task ids as RQ jobs. Knows how a job is made; running one is the worker's business."""

from rq import Queue

from orchestrator.adapters.clients import redis_client, redis_errors
from orchestrator.settings import Settings

RUN_TASK = "orchestrator.tasks.run_task"
_KEEP_FAILED = 3600


class RqQueue:
    """The Queue on RQ.

    Every entry is a job of its own: with the task's id as job id, a second entry would share the record of the first, and the
    first one's end would delete it. Retries and time limits are the task store's and the container's business, not RQ's.
    """

    def __init__(self, settings: Settings) -> None:
        self._queue = Queue(settings.queue, connection=redis_client(settings))

    def enqueue(self, task_id: str) -> None:
        """Add a job without a time limit that leaves nothing behind, unless it fails: then its traceback for an hour."""
        with redis_errors():
            self._queue.enqueue_call(RUN_TASK, args=(task_id,), timeout=-1, result_ttl=0, failure_ttl=_KEEP_FAILED)
