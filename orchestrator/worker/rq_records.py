"""Writes RQ's records about a worker and its jobs. It knows RQ and Redis, but not how jobs run.

A record must never harm a job: if it cannot be written, it waits for Redis, and is given up when the worker stops. Only the
values that the job itself stored are authoritative.
"""

import os
import socket
import traceback
import uuid
from collections.abc import Callable, Iterable
from datetime import datetime
from functools import partial
from types import TracebackType
from typing import Any, cast

from attrs import frozen
from redis import Redis
from redis.client import Pipeline
from rq import Queue, SimpleWorker, worker_registration
from rq.exceptions import DeserializationError
from rq.executions import Execution, ExecutionRegistry
from rq.job import Job
from rq.registry import StartedJobRegistry
from rq.serializers import JSONSerializer
from rq.timeouts import BaseDeathPenalty
from rq.utils import now
from rq.worker import WorkerStatus

from orchestrator.adapters.redis import worker_record
from orchestrator.adapters.redis.job import PlainJob
from orchestrator.log import logger
from orchestrator.worker.redis_retry import ANSWER_WITHIN, RedisRetry

EXECUTION_TTL = 300
"""Seconds without a heartbeat after which RQ counts a running job as abandoned."""
JOB_TTL = 3600
"""Seconds without a heartbeat for which the job itself is kept. In this time other workers note that it was abandoned."""
_UNLESS_THERE = """
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
local at = 1
while at <= #ARGV do
  local last = at + tonumber(ARGV[at])
  redis.call(unpack(ARGV, at + 1, last))
  at = last + 1
end
return 1
"""
"""Makes the commands, each after the number of its words, unless there is the key."""


@frozen
class About:
    """What a worker's record says beside what RQ writes. ``held`` are tasks that it has beside those of its jobs."""

    slots: int = 0
    engine: Callable[[], str] = lambda: ""
    held: Callable[[], Iterable[str]] = tuple


class Unlimited(BaseDeathPenalty):
    """No time limit: RQ's uses signals, which reach only the main thread. The worker watches the deadline of the container."""

    def setup_death_penalty(self) -> None:
        """Do nothing."""

    def cancel_death_penalty(self) -> None:
        """Do nothing."""


NOTHING = About()


class Bookkeeper(SimpleWorker):
    """RQ's worker without its loop: the records only. Safe to use from many threads."""

    death_penalty_class = Unlimited
    job_class = PlainJob
    log_result_lifespan = False
    dequeue_timeout = 1
    connection_timeout = ANSWER_WITHIN

    def __init__(
        self, connection: Redis, queue: str, name: str, link: RedisRetry, result_ttl: int = 600, about: About = NOTHING
    ) -> None:
        """``result_ttl``: seconds for which a job is kept after its end, if the job does not set them."""
        # a killed worker's name stays taken for minutes, so each process has its own
        unique = f"{name}.{uuid.uuid4().hex[:8]}"
        super().__init__(
            [queue],
            unique,
            connection=connection,
            serializer=JSONSerializer,
            default_result_ttl=result_ttl,
            prepare_for_work=False,
            log_job_description=False,
        )
        self.hostname, self.pid = socket.gethostname(), os.getpid()
        self.birth_date = now()
        self.queue: Queue = self.queues[0]
        self._waiting = Queue(queue, connection=connection, serializer=JSONSerializer)
        """The queue for jobs that wait for one of this worker. They are enqueued, so they are read and written whole."""
        self.link = link
        self._about = about
        self._running: dict[str, str] = {}

    @property
    def draining(self) -> bool:
        """Whether it takes no more jobs."""
        return False

    def serialize(self) -> dict[Any, Any]:
        """RQ's fields and ours."""
        return {**super().serialize(), **self.present()}

    def present(self) -> dict[Any, Any]:
        """Our fields, as they are now."""
        tasks = {task for execution, task in self._running.copy().items() if execution in self.executions}
        about = self._about
        return {**worker_record.fields(about.slots, about.engine(), {*tasks, *map(str, about.held())}, draining=self.draining)}

    def beat(self) -> None:
        """Record that the worker and its jobs are alive; the first call records that the worker exists."""
        self.last_heartbeat = now()
        with self.connection.pipeline() as pipeline:
            # the whole record each time: a Redis that came back empty has forgotten the worker
            pipeline.hset(self.key, mapping=self.serialize())
            worker_registration.register(self, pipeline)
            self.set_state(WorkerStatus.BUSY if self.executions else WorkerStatus.IDLE, pipeline)
            self.heartbeat(pipeline=pipeline)
            for execution in list(self.executions.values()):
                execution.heartbeat(self.queue.started_job_registry, EXECUTION_TTL, pipeline)
                pipeline.expire(Job.key_for(execution.job_id), JOB_TTL)
            pipeline.execute()

    def begin(self, job: Job, entry: bytes) -> Execution:
        """Note, in one transaction, that the job is started here and that its entry is no longer on its way."""
        execution = Execution(uuid.uuid4().hex, job.id, self.connection, self.name)
        self.executions[execution.id] = execution
        self._running[execution.id] = task_id(job)
        self.link.persist(partial(self._note_begin, job, execution, entry))
        return execution

    def _note_begin(self, job: Job, execution: Execution, entry: bytes) -> None:
        with self.connection.pipeline() as pipeline:
            execution.save(EXECUTION_TTL, pipeline)
            ExecutionRegistry(job.id, pipeline).add(execution, EXECUTION_TTL, pipeline)
            self.queue.started_job_registry.add_execution(execution, pipeline, ttl=EXECUTION_TTL)
            pipeline.sadd(self.executions_key, execution.composite_key)
            job.prepare_for_execution(self.name, pipeline)
            pipeline.expire(job.key, JOB_TTL)
            self.set_state(WorkerStatus.BUSY, pipeline)
            pipeline.hset(self.key, mapping=self.present())
            self.heartbeat(pipeline=pipeline)
            pipeline.lrem(self.queue.intermediate_queue_key, 1, cast("str", entry))
            pipeline.execute()

    def prepare_job_execution(self, job: Job, remove_from_intermediate_queue: bool = False) -> None:  # noqa: FBT001, FBT002
        """Does nothing, because ``begin`` prepares everything."""

    def handle_execution_ended(self, job: Job, queue: Queue, heartbeat_ttl: int) -> None:  # noqa: ARG002
        """Set the time only; the next call writes it."""
        job.ended_at = now()

    def handle_job_success(
        self,
        job: Job,
        queue: Queue,  # noqa: ARG002
        started_job_registry: StartedJobRegistry,
        execution: Execution,
    ) -> None:
        """Record the success as RQ does, when Redis answers.

        RQ takes three round trips, because other jobs may wait for this one. One is enough if none does.
        """
        kept = job.get_result_ttl(self.default_result_ttl)
        if not kept or job.has_rate_limit or self.link.persist(partial(self._succeed, job, execution)) is False:
            self.link.persist(partial(super().handle_job_success, job, self._waiting, started_job_registry, execution))

    def _succeed(self, job: Job, execution: Execution) -> bool:
        """Record the success of a job that no other job waits for; False, recording nothing, if one does."""
        with self.connection.pipeline() as pipeline:
            result_ttl = job.get_result_ttl(self.default_result_ttl)
            self.increment_successful_job_count(pipeline=pipeline)
            self.increment_total_working_time(cast("datetime", job.ended_at) - cast("datetime", job.started_at), pipeline)
            times = execution.created_at, job.ended_at
            job._handle_success(result_ttl, pipeline, self.name, execution.id, *times)  # noqa: SLF001  RQ has no other
            job.cleanup(result_ttl, pipeline=pipeline, remove_from_queue=False)
            self.cleanup_execution(job, pipeline=pipeline, execution=execution)
            commands = [command for command, _ in pipeline.command_stack]
        said = [each for command in commands for each in (len(command), *command)]
        return bool(self.connection.eval(_UNLESS_THERE, 1, job.dependents_key, *said))

    def handle_job_failure(
        self,
        job: Job,
        queue: Queue,  # noqa: ARG002
        started_job_registry: StartedJobRegistry | None = None,
        exc_string: str = "",
        execution: Execution | None = None,
    ) -> None:
        """Record the failure as RQ does, when Redis answers. RQ itself drops it here if Redis is away."""
        self.link.persist(self.connection.ping)
        super().handle_job_failure(job, self._waiting, started_job_registry, exc_string, execution)

    def handle_exception(self, job: Job, *exc_info: object) -> None:
        """Log the error of the job in one line. RQ keeps the whole traceback with the failed job."""
        _, error, trace = exc_info
        where = traceback.extract_tb(trace)[-1] if isinstance(trace, TracebackType) else None
        place = f"{where.filename}:{where.lineno}" if where else "?"
        logger.error("job {} raised {}: {} ({})", job.id, type(error).__name__, error, place)

    def cleanup_execution(self, job: Job, pipeline: Pipeline, execution: Execution | None = None) -> None:
        """Forget the execution. After the last one the worker is idle."""
        super().cleanup_execution(job, pipeline, execution)
        if execution:
            self._running.pop(execution.id, None)
        if not self.executions:
            self.set_state(WorkerStatus.IDLE, pipeline)
        pipeline.hset(self.key, mapping=self.present())
        self.heartbeat(pipeline=pipeline)  # a Redis that came back empty must not keep these counts for ever


def task_id(job: Job) -> str:
    """The id of the task, which is the argument of the job's function; the job's id if the argument cannot be read."""
    try:
        return str(job.args[0])
    except (DeserializationError, IndexError, TypeError):
        return job.id
