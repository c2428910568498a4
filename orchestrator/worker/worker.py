"""The worker process: takes jobs from one RQ queue and runs each in a separate thread. It knows RQ and Redis, but no task.

A job that was taken is run, even if RQ's records cannot be written. The task store detects a second run, and a task that is
gone.
"""

import threading
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from math import ceil, inf
from types import FrameType
from typing import cast

from redis import Redis, ResponseError
from rq.executions import Execution
from rq.job import Job

from orchestrator.adapters.redis.job import JOB_PREFIX, RUN_TASK, Call, read_call, restored
from orchestrator.log import logger
from orchestrator.metrics.measurements import Measurements
from orchestrator.worker.foreign_jobs import ForeignJobs
from orchestrator.worker.redis_retry import RedisRetry
from orchestrator.worker.rq_maintenance import PeriodicTask, Rescue, clean
from orchestrator.worker.rq_records import About, Bookkeeper, task_id

_STUCK = 60.0
"""Seconds without a turn after which the loop counts as stuck. Redis may delay a turn."""
_PAUSE = 0.05
_LOOK = 0.2
"""Seconds until the next check for a free place for a job."""
_POLL = 1
"""Seconds for which the loop may not see a request to stop."""
_UNBEGUN = 1.0
"""Seconds of a drain without a started task after which taken jobs are left. The engine may hang for a minute."""
_SAME_REQUEST = 1.0
"""Seconds within which a second signal counts as the first one, because it may go to both the group and the process."""


class ThreadWorker(Bookkeeper):
    """Runs up to ``concurrency`` jobs at once. Use ``run``, not RQ's ``work``."""

    def __init__(
        self,
        connection: Redis,
        queue: str,
        concurrency: int,
        name: str = "worker",
        hand_over: Callable[[], None] = lambda: None,
        others: Callable[[], int] = lambda: 0,
        ready: Callable[[], None] = lambda: None,
        drain: Callable[[], None] = lambda: None,
        begun: Callable[[], bool] = lambda: True,
        drain_timeout: float = inf,
        places: Callable[[], int] | None = None,
        rescue_after: float = 5.0,
        result_ttl: float = 600.0,
        functions: Collection[str] = frozenset({RUN_TASK}),
        are_ours: Callable[[Sequence[Call]], Sequence[bool]] = lambda calls: [True] * len(calls),
        measured: Measurements | None = None,
        engine: Callable[[], str] = lambda: "",
        held: Callable[[], Iterable[str]] = tuple,
    ) -> None:
        """``connection`` is the worker's connection, from ``connect``.

        ``ready`` is called when Redis knows the worker, before it takes the first job.

        A drain waits for running jobs. ``drain`` is called before this wait, and ``others`` counts further tasks to wait for.
        ``hand_over`` is called when a second signal ends the wait, or when it has lasted ``drain_timeout`` seconds. If no task
        has ``begun`` for a second, as when the engine hangs, the worker does not wait for its jobs: nothing is lost with them.

        ``places`` returns how many jobs it may hold now, if this is not always ``concurrency``: more while some of them wait.

        ``rescue_after``: seconds for which a job may be taken but not begun, by any worker, before it is put back into the
        queue. It must be longer than a pause of ``RedisRetry.persist``. Otherwise, after an outage, a job is put back while its
        worker is about to begin it.

        ``result_ttl``: seconds for which a job is kept after its end, if the job does not set them.

        Only ``functions`` are imported and run, and only for jobs that ``are_ours`` accepts. All other jobs are put back into
        the queue, for other workers.

        ``measured`` counts the entries that it puts back.

        For the worker's record: ``engine`` is its id, or empty, ``held`` are the tasks that it has beside those of its jobs.
        """
        about = About(concurrency, engine, held)
        super().__init__(connection, queue, name, RedisRetry(lambda: self.stopping), ceil(result_ttl), about)
        self._concurrency = concurrency
        self._hand_over = hand_over
        self._places = places or (lambda: concurrency)
        self._held = 0
        self._changed = threading.Condition()
        self._others = others
        self._begun = begun
        measured = measured or Measurements()
        self._foreign = ForeignJobs(self.queue, functions, are_ours, measured)
        self._tell_ready = ready
        self._begin_drain = drain
        self._drain_timeout = drain_timeout
        self._turned_at = time.monotonic()
        self._asked_at: float | None = None
        self._asked_again = False
        self._chores = (
            PeriodicTask(15, self.beat),
            PeriodicTask(rescue_after / 2, Rescue(self.queue, measured, lambda: self.link.outages)),
            PeriodicTask(600, partial(clean, self.queue, functions)),
        )

    @property
    def stopping(self) -> bool:
        """Whether the worker was asked to stop."""
        return self._asked_at is not None

    @property
    def draining(self) -> bool:
        """The same, as the worker's record has it."""
        return self.stopping

    @property
    def alive(self) -> bool:
        """Whether its loop has turned recently, or waits for Redis."""
        return self.link.is_lost or time.monotonic() - self._turned_at < _STUCK

    def run(self) -> bool:
        """Take and run jobs until asked to stop, then wait for the running jobs. Call it in the main thread.

        Returns True if all of them ended or could not begin. False means that some were handed over and still run. Leave with
        ``os._exit``, because an ordinary exit may wait for their threads. Outlasts any outage of Redis, also at the start.
        """
        self._install_signal_handlers()  # type: ignore[no-untyped-call]
        self.link.persist(self.beat)
        logger.info("worker {} takes up to {} jobs at once from queue {}", self.name, self._concurrency, self.queue.name)
        try:
            self._tell_ready()
            while not self.stopping:
                self._turn()
            drained = self._drain()
        finally:
            self.link.attempt(self.register_death)
        if not drained:
            self._hand_over()
        return drained

    def request_stop(self, signum: int = 0, frame: FrameType | None = None) -> None:  # noqa: ARG002
        """Stop when the running jobs have ended; at a second request, hand over.

        A signal handler: it takes no lock, so it logs nothing.
        """
        if self._asked_at is None:
            self._asked_at = time.monotonic()
        elif time.monotonic() - self._asked_at > _SAME_REQUEST:
            self._asked_again = True

    def _turn(self) -> None:
        """Take one job when there is a place for it."""
        self._do_chores()
        if not self._enter():
            return
        taken = self._take()
        if taken is None:
            self._leave()
        else:
            threading.Thread(target=self._perform, args=taken, name=f"job {taken[0].id}", daemon=True).start()

    def _enter(self) -> bool:
        """Count one more job if there is a place for it now or soon; whether it is counted."""
        ends = time.monotonic() + _POLL
        with self._changed:
            while self._held >= self._places():
                if time.monotonic() >= ends:
                    return False
                self._changed.wait(_LOOK)
            self._held += 1
            return True

    def _leave(self) -> None:
        with self._changed:
            self._held -= 1
            self._changed.notify_all()

    def _take(self) -> tuple[Job, Execution] | None:
        waiting, on_the_way = self.queue.key, self.queue.intermediate_queue_key
        entry = cast("bytes | None", self.link.persist(lambda: self.connection.blmove(waiting, on_the_way, _POLL)))
        job = None if entry is None else self.link.persist(partial(self._fetch, entry))
        if entry is not None and job is None:
            entry = self._look_further()
            job = None if entry is None else self.link.persist(partial(self._fetch, entry))
        return None if entry is None or job is None else (job, self.begin(job, entry))

    def _look_further(self) -> bytes | None:
        """An entry of this worker behind a foreign one.

        If there is none, return after a rest, so that searching again costs little.
        """
        found = self.link.persist(self._foreign.find)
        entry, rest = found or (None, 0.0)
        if rest:
            with self._changed:
                self._changed.wait(rest)
        return entry

    def _fetch(self, entry: bytes) -> Job | None:
        """The job of an entry; None if it is dropped, because there is no such job, or put back, because it is foreign."""
        raw = self._hash_of(entry)
        call = read_call(raw)
        if raw and self._foreign.is_foreign(call):
            self._foreign.put_back(entry, call)
            return None
        if (job := restored(self.queue, entry, raw)) is None:
            self.connection.lrem(self.queue.intermediate_queue_key, 1, cast("str", entry))
        return job

    def _hash_of(self, entry: bytes) -> dict[bytes, bytes]:
        """The job's hash. A value of another type under this key is not a job."""
        try:
            return cast("dict[bytes, bytes]", self.connection.hgetall(JOB_PREFIX + entry))
        except ResponseError:
            return {}

    def _perform(self, job: Job, execution: Execution) -> None:
        try:
            with logger.contextualize(task=task_id(job)):
                self.perform_job(job, self.queue, execution)
        finally:
            self.executions.pop(execution.id, None)
            self._running.pop(execution.id, None)
            self._leave()

    def _drain(self) -> bool:
        """Wait until all jobs have ended, or none can begin; whether this happened before a second request."""
        logger.info("stopping; {} jobs run on", len(self.executions))
        self._begin_drain()
        last_begun = time.monotonic()
        while self._held or self._others():
            with self._changed:
                self._changed.wait(_PAUSE)
            self._do_chores()
            if self._begun():
                last_begun = time.monotonic()
            elif time.monotonic() - last_begun > _UNBEGUN:
                logger.warning("stopped; {} jobs that could not begin are left to other workers", len(self.executions))
                return True
            if self._asked_again or time.monotonic() > (self._asked_at or inf) + self._drain_timeout:
                logger.warning("handing over {} tasks that still run", max(len(self.executions), self._others()))
                return False
        logger.info("stopped; all jobs ended")
        return True

    def _do_chores(self) -> None:
        self._turned_at = time.monotonic()
        for chore in self._chores:
            self.link.attempt(chore)
