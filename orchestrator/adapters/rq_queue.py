"""The queue of task ids as RQ jobs. Knows how a job is made; running one is the worker's business."""

import zlib
from typing import cast

from rq import Queue
from rq.exceptions import DeserializationError
from rq.job import Job

from orchestrator.adapters.clients import redis_client, redis_errors
from orchestrator.ports import Head
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

    def first(self, limit: int) -> Head:
        """From the line, and from what is on its way to a worker.

        What RQ calls begun does not count: its worker has the task's lease by now, or has died.
        """
        queue, redis = self._queue, self._queue.connection
        with redis_errors():
            on_the_way = cast("list[bytes]", redis.lrange(queue.intermediate_queue_key, 0, -1))
            in_line = queue.get_job_ids(0, limit + 1)
            with redis.pipeline(transaction=False) as pipeline:
                for job_id in [*in_line[:limit], *map(bytes.decode, on_the_way)]:
                    pipeline.hget(Job.key_for(job_id), "data")
                calls = cast("list[bytes | None]", pipeline.execute())
        found = frozenset(task_id for call in calls if call for task_id in _task_ids(Job(connection=redis), call))
        return Head(found, whole=len(in_line) <= limit)


def _task_ids(job: Job, call: bytes) -> tuple[str, ...]:
    """The task of an entry, however it is passed; none when it is for another function or cannot be read.

    Only the call is looked at, because RQ does not load a job of which any other field is garbled.
    """
    try:
        job.data = zlib.decompress(call)
    except zlib.error:
        job.data = call  # it may as well be plain
    try:
        return tuple(map(str, (*job.args, *job.kwargs.values()))) if job.func_name == RUN_TASK else ()
    except (DeserializationError, TypeError, AttributeError):
        return ()
