"""A job, from its hash in Redis. It is read as JSON and never unpickled, and reading it imports no function."""

import json
import time
import zlib
from collections.abc import Collection, Mapping, Sequence
from typing import cast

from attrs import field, frozen
from redis import Redis
from rq import Queue
from rq.exceptions import NoSuchJobError, TimeoutFormatError
from rq.job import Job, JobStatus
from rq.job_lifecycle import record_job_failure

from orchestrator.log import logger

JOB_PREFIX = Job.redis_job_namespace_prefix.encode()
"""The beginning of a job's key; its id follows."""
RUN_TASK = "orchestrator.tasks.run_task"
FAILURE_TTL = 7 * 24 * 3600
"""Seconds that RQ keeps a failed job if its producer did not set them. RQ's own default is a year."""
_UNREADABLE = (NoSuchJobError, TimeoutFormatError, ValueError, TypeError, AttributeError, LookupError, AssertionError)
"""The errors of RQ for a job's hash that is missing or unreadable."""
_LONGEST = 64 << 10
"""The most bytes of a call or of ``meta``; a task's has some hundred."""
_READ = frozenset(
    b"data meta description origin status created_at enqueued_at started_at ended_at last_heartbeat worker_name timeout ttl"
    b" result_ttl failure_ttl dependency_id dependency_ids allow_dependency_failures enqueue_at_front rate_limit_key"
    b" rate_limit_concurrency".split()
)
"""Fields of a hash that are read: those that jobs of other applications need, too, which wait for a task.

Callbacks, webhooks and retries are not read: RQ would import, call or repeat them.
"""


@frozen
class Call:
    """The call of a job. ``deployment`` is the deployment of its task, empty if the job does not name it."""

    function: str
    args: tuple[object, ...] = ()
    kwargs: Mapping[str, object] = field(factory=dict)
    deployment: str = ""

    @property
    def task_id(self) -> str | None:
        """The function's only argument, by position or by name; None if it is not a text or there is none."""
        given = (*self.args, *self.kwargs.values())
        return given[0] if len(given) == 1 and isinstance(given[0], str) else None

    def may_be_of(self, deployment: str) -> bool:
        """Whether the two deployments are equal, or one of them is not named."""
        return not deployment or not self.deployment or self.deployment == deployment


def read_call(raw: Mapping[bytes, bytes | None]) -> Call | None:
    """The call from the fields ``data`` and ``meta`` of a job's hash; None if it is not JSON as RQ's serializer writes it."""
    match _parsed(_unpacked(raw.get(b"data"))):
        case [str(function), None, list(args), dict(kwargs)]:
            return Call(function, tuple(args), kwargs, _deployment(raw.get(b"meta")))
    return None


def read_calls(redis: Redis, entries: Sequence[bytes]) -> list[Call | None]:
    """The calls of the jobs with these ids, in one round trip; None also for a value that is not a job."""
    fields = b"data", b"meta"
    with redis.pipeline(transaction=False) as pipeline:
        for entry in entries:
            pipeline.hmget(JOB_PREFIX + entry, fields)
        answers = pipeline.execute(raise_on_error=False)
    return [None if isinstance(found, Exception) else read_call(dict(zip(fields, found, strict=True))) for found in answers]


class PlainJob(Job):
    """A job with only known fields."""

    def restore(self, raw_data: Mapping[bytes, bytes]) -> None:
        """Read the job's hash."""
        super().restore({name: value for name, value in raw_data.items() if name in _READ})


def bury_abandoned(queue: Queue, functions: Collection[str]) -> None:
    """Mark jobs that call ``functions`` as failed if their worker died. All other jobs stay unchanged."""
    registry, redis = queue.started_job_registry, queue.connection
    for entry in cast("list[bytes]", redis.zrangebyscore(registry.key, 0, time.time())):
        job_id = entry.partition(b":")[0]
        raw = cast("dict[bytes, bytes]", redis.hgetall(JOB_PREFIX + job_id))
        call = read_call(raw)
        if raw and (call is None or call.function not in functions):
            continue
        with redis.pipeline() as pipeline:
            if raw.get(b"status") == JobStatus.STARTED.encode() and (job := restored(queue, job_id, raw)):
                record_job_failure(job, "its worker died; the task's document has the result of the task", pipeline)
            pipeline.zrem(registry.key, entry)
            pipeline.execute()


def restored(queue: Queue, job_id: bytes, raw: Mapping[bytes, bytes]) -> PlainJob | None:
    """The job with this hash; None if there is none or it is unreadable, which is logged. Its failure is not kept for ever."""
    try:
        job = PlainJob(job_id.decode(), queue.connection, queue.serializer)
        job.restore(raw)
        job.failure_ttl = FAILURE_TTL if job.failure_ttl is None else job.failure_ttl
    except _UNREADABLE as error:
        logger.error("job {!r} cannot be read, so its entry is dropped: {}", job_id, error)
        return None
    return job


def _deployment(meta: bytes | None) -> str:
    match _parsed(meta):
        case {"deployment": str(deployment)}:
            return deployment
    return ""


def _unpacked(data: bytes | None) -> bytes | None:
    """Unpacked up to the longest size of a call. Other languages may write it without packing."""
    try:
        return zlib.decompressobj().decompress(data or b"", _LONGEST + 1)
    except zlib.error:
        return data


def _parsed(text: bytes | None) -> object:
    """The value of the JSON; None if it is not JSON, or longer than any job of this package."""
    if not text or len(text) > _LONGEST:
        return None
    try:
        return json.loads(text.decode())
    except (ValueError, RecursionError):
        return None
