"""The queue of task ids as RQ jobs. Knows how to make and find a job; the worker runs it."""

from collections.abc import Sequence
from datetime import UTC, datetime
from math import ceil
from typing import cast

from redis.client import Pipeline
from rq import Queue
from rq.queue import EnqueueData
from rq.serializers import JSONSerializer
from rq.utils import missing_keys
from rq.worker_registration import get_keys

from orchestrator.adapters.redis import worker_record
from orchestrator.adapters.redis.client import redis_client, redis_errors
from orchestrator.adapters.redis.job import JOB_PREFIX, RUN_TASK, read_calls
from orchestrator.ports import JobInfo, QueueDepth, QueueHead, WorkerRecord
from orchestrator.settings.settings import Settings

NOTHING = JobInfo()
_KEEP_FAILED = 3600


class RqQueue:
    """The Queue on RQ, whose jobs are JSON.

    Every entry is a separate job. With the task's id as job id, a second entry would share the record of the first, and the end
    of the first would delete it. The task store handles retries and the container has the time limit; RQ's are not used.
    """

    def __init__(self, settings: Settings) -> None:
        self._result_ttl = ceil(settings.result_ttl)
        self._queue = Queue(settings.queue, connection=redis_client(settings), serializer=JSONSerializer)

    def close(self) -> None:
        """Close the idle connections."""
        self._queue.connection.close()

    def enqueue(self, task_id: str, info: JobInfo = NOTHING) -> None:
        """In one transaction."""
        with redis_errors(), self.transaction() as pipeline:
            self.add(pipeline, [(task_id, info)])
            pipeline.execute()

    def transaction(self) -> Pipeline:
        """A new transaction."""
        return self._queue.connection.pipeline(transaction=True)

    def add(self, pipeline: Pipeline, tasks: Sequence[tuple[str, JobInfo]]) -> None:
        """Add a job for each task to a transaction.

        It has no time limit. It is kept for RESULT_TTL after its end; a job that raises is kept for an hour.
        """
        self._queue.enqueue_many([self._job(task_id, info) for task_id, info in tasks], pipeline)

    def _job(self, task_id: str, info: JobInfo) -> EnqueueData:
        return self._queue.prepare_data(
            RUN_TASK,
            args=(task_id,),
            timeout=-1,
            result_ttl=self._result_ttl,
            failure_ttl=_KEEP_FAILED,
            description=info.description or task_id,
            meta={"task_id": task_id, "deployment": info.deployment, "labels": dict(info.labels)},
        )

    def first(self, limit: int, deployment: str = "") -> QueueHead:
        """From the queue, and from the entries on their way to a worker.

        Jobs that RQ calls started do not count: their worker has the lease of the task by now, or has died.
        """
        redis = self._queue.connection
        with redis_errors():
            on_the_way, in_line = self._both(limit)
            calls = read_calls(redis, [*in_line[:limit], *on_the_way])
        found = {call.task_id for call in calls if call and call.function == RUN_TASK and call.may_be_of(deployment)}
        return QueueHead(frozenset(task_id for task_id in found if task_id is not None), whole=len(in_line) <= limit)

    def depth(self) -> QueueDepth:
        """The length of the list, and when RQ, or another producer, noted that its first job was enqueued."""
        redis, line = self._queue.connection, self._queue.key
        with redis_errors():
            jobs = redis.llen(line)
            first = cast("bytes | None", redis.lindex(line, 0))
            at = cast("bytes | None", redis.hget(cast("str", JOB_PREFIX + first), "enqueued_at")) if first else None
        return QueueDepth(jobs, _age(at))

    def workers(self) -> int:
        """The workers that RQ knows and whose records have not expired."""
        with redis_errors():
            known = [*get_keys(self._queue)]
            return len(known) - len(missing_keys(self._queue.connection, known)) if known else 0

    def records(self) -> Sequence[WorkerRecord]:
        """The hashes of the workers that RQ knows, in one round trip."""
        with redis_errors():
            known = sorted(get_keys(self._queue))
            with self._queue.connection.pipeline(transaction=False) as pipeline:
                for key in known:
                    pipeline.hgetall(key)
                answers = pipeline.execute(raise_on_error=False)
        found = zip(known, answers, strict=True)
        records = [worker_record.read(key, raw) for key, raw in found if not isinstance(raw, Exception)]
        return [record for record in records if record is not None]

    def _both(self, limit: int) -> tuple[list[bytes], list[bytes]]:
        """The entries on their way and the head of the queue, at one moment: workers move foreign entries all the time."""
        with self._queue.connection.pipeline(transaction=True) as pipeline:
            pipeline.lrange(self._queue.intermediate_queue_key, 0, -1)
            pipeline.lrange(self._queue.key, 0, limit)
            on_the_way, in_line = cast("list[list[bytes]]", pipeline.execute())
        return on_the_way, in_line


def _age(enqueued_at: bytes | None) -> float | None:
    """Seconds since then; None if it is not a time."""
    try:
        at = datetime.fromisoformat((enqueued_at or b"").decode())
        return max((datetime.now(UTC) - at).total_seconds(), 0)
    except (ValueError, TypeError):  # TypeError: without a zone
        return None
