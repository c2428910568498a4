"""The worker's second job: every few seconds it publishes delayed events, sweeps, and runs the tasks that it adopts."""

import threading
import time
from collections.abc import Callable

from orchestrator.app import Services
from orchestrator.errors import InfrastructureError, Postponed
from orchestrator.log import logger
from orchestrator.metrics import declarations as metrics
from orchestrator.reconcile.reconciler import Sweep, end_overdue

_RETAIN_FOR = 1.0
"""Seconds of a sweep that may go to retention: what the sweep is for comes first."""
_RETAIN_EVERY = 60.0
"""Seconds between looks for what has been kept for long enough, when there is nothing."""


class Keeper:
    """A thread that sweeps until the worker stops, and publishes as long as the worker holds tasks.

    Adopted tasks have threads beside the threads of the queue: up to ADOPTED_MAX for tasks that have begun, and up to
    CONCURRENCY for tasks that wait for room. So waiting tasks do not block tasks whose programs run.
    """

    def __init__(self, services: Services, stopping: Callable[[], bool]) -> None:
        self._services = services
        self._stopping = stopping
        self._thread = threading.Thread(target=self._run, name="sweep", daemon=True)
        self._begun = Places(services.settings.adopted_max)
        self._resumed = Places(services.settings.concurrency)
        self._retain_at = 0.0
        self._kept: Sweep | None = None
        """Made once the deployment is known; it remembers what it has put in line."""
        self._warm_for = ""
        self.engine = ""
        """The engine's id, once it has told; nobody waits for it."""

    def start(self) -> None:
        """Begin to sweep."""
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether it sweeps, or no longer needs to."""
        return self._thread.is_alive() or self._stopping()

    def adopt(self, task_id: str, engine: str) -> None:
        """Run a task that has begun and is bound to ``engine``, beside those from the queue.

        Raises Postponed if there is no place.
        """
        self._begun.run(task_id, lambda: self._services.runner.run(task_id, engine))

    def resume(self, task_id: str, engine: str) -> None:
        """The same for a task that is queued or has to begin again."""
        self._resumed.run(task_id, lambda: self._services.runner.run(task_id, engine))

    def _run(self) -> None:
        pause, leases = threading.Event(), self._services.runner.leases
        self._guarded(self._tend_warm)
        while not pause.wait(self._services.settings.sweep_interval) and not (self._stopping() and leases.count == 0):
            self._guarded(self._end_overdue)  # first: it needs only the engine, and the next steps may wait for a server
            self._guarded(leases.catch_up)
            self._guarded(self._services.look)
            self._guarded(self._learn_engine)
            self._guarded(self._tend_warm)
            if not self._stopping() and not self._services.halted:
                self._guarded(self._sweep)
                self._guarded(self._retain)
        self._guarded(self._tend_warm)

    def _end_overdue(self) -> None:
        services = self._services
        ended = end_overdue(services.engine, services.settings.stop_grace, services.runner.leases.holds)
        services.measured.count(metrics.SWEPT, metrics.END_OVERDUE, by=ended)

    def _learn_engine(self) -> None:
        self.engine = self._services.engine.identity()

    def _tend_warm(self) -> None:
        """Containers wait as long as the worker takes tasks, with the labels of its deployment."""
        services = self._services
        wanted = services.settings.warm and not self._stopping() and not services.halted
        deployment = services.deployment if wanted else ""
        if deployment != self._warm_for:
            (services.keep_warm if deployment else services.let_cool)()
            self._warm_for = deployment

    def _sweep(self) -> None:
        lock_for = (
            self._services.settings.lease_ttl / 2
        )  # a worker that dies in a sweep must not delay the worker that takes its tasks
        measured = self._services.measured
        with measured.timed(metrics.SWEEP):
            self._kept = self._kept or self._services.sweep(self.adopt, self.resume)
            done = self._kept.once(lock_for)
        for action in done:
            measured.count(metrics.SWEPT, action.kind.name.lower())

    def _retain(self) -> None:
        """Where something was removed there may be more, for the next sweep."""
        if time.monotonic() >= self._retain_at:
            self._retain_at = time.monotonic() + _RETAIN_EVERY
            if self._services.retention.once(_RETAIN_FOR):
                self._retain_at = 0.0

    def _guarded(self, duty: Callable[[], None]) -> None:
        try:
            duty()
        except InfrastructureError as error:
            self._services.measured.count(metrics.SWEEP_ERRORS, "service")
            logger.warning("the sweep is put off: {}", error)
        except Exception:  # noqa: BLE001  a bug in one sweep must not be the end of all sweeps
            self._services.measured.count(metrics.SWEEP_ERRORS, metrics.FAULT)
            logger.exception("the sweep has a fault")


class Places:
    """A thread for each place; each runs an adopted task."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._free = threading.BoundedSemaphore(number)

    def run(self, task_id: str, work: Callable[[], object]) -> None:
        """Do the work in a thread. Raises Postponed if all places are taken."""
        if not self._free.acquire(blocking=False):
            raise Postponed(f"all {self._number} places for adopted tasks are taken")
        try:
            threading.Thread(target=self._carry, args=(work,), name=f"adopted {task_id}", daemon=True).start()
        except RuntimeError as error:
            self._free.release()
            raise Postponed(f"no thread for an adopted task: {error}") from None

    def _carry(self, work: Callable[[], object]) -> None:
        try:
            work()
        finally:
            self._free.release()
