"""The services of one process, whichever adapters they are, and the runner on top of them."""

import time
from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import cached_property
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import define, field

from orchestrator.errors import InfrastructureError, WrongDatabase
from orchestrator.execution.deployment import Deployment
from orchestrator.log import logger
from orchestrator.metrics.measurements import Measurements
from orchestrator.ports import (
    Engine,
    EventBus,
    Intake,
    LiveOutput,
    ObjectStore,
    Origin,
    Queue,
    SharedLock,
    TaskStore,
    TwoStepIntake,
)
from orchestrator.reconcile.database_identity import Memory, objection
from orchestrator.retrying import Retrier
from orchestrator.settings.settings import Settings
from orchestrator.task.request import is_id

if TYPE_CHECKING:
    from orchestrator.adapters.redis.job import Call
    from orchestrator.execution.runner import Runner
    from orchestrator.metrics.server_gauges import ServerGauges
    from orchestrator.reconcile.reconciler import Sweep
    from orchestrator.reconcile.removal import Removal
    from orchestrator.reconcile.retention import Retention
    from orchestrator.reconcile.stray_objects import StrayObjects


@define(slots=False)
class Services:
    """The adapters of one process and the runner on top of them."""

    settings: Settings
    store: TaskStore
    events: EventBus
    queue: Queue
    logs: ObjectStore
    engine: Engine
    lock: SharedLock
    live: LiveOutput | None = None
    """None when output is seen only once it is stored."""
    taking_in: Callable[[EventBus, Queue], Intake] = TwoStepIntake
    """Makes the intake of a bus and a queue; adapters of one server need one round trip."""
    retrier: Retrier = field(factory=Retrier)
    halted: str = ""
    """Why this process takes no tasks, since it last looked; empty when it may."""
    measured: Measurements = field(factory=Measurements)
    """What this process counts."""
    closing: Sequence[Callable[[], None]] = ()
    """What closes the adapters' connections, in the order in which they were made."""
    _looked_at: float = field(default=-inf, init=False)
    """By the monotonic clock."""

    def prepare(self) -> None:
        """Make the indexes and the bucket that are missing."""
        self.store.prepare()
        self.logs.prepare()

    def close(self) -> None:
        """Close the connections of all adapters, also of those after one that fails."""
        with ExitStack() as stack:
            for close in self.closing:
                stack.callback(close)

    @property
    def intake(self) -> Intake:
        """How new tasks come to the workers."""
        return self.taking_in(self.events, self.queue)

    @cached_property
    def runner(self) -> "Runner":
        """Runs tasks on these services."""
        from orchestrator.execution.assembly import assembled  # noqa: PLC0415  most commands run nothing

        return assembled(
            self.settings,
            self.store,
            self.events,
            self.live,
            self.logs,
            self.engine,
            self.home,
            self.retrier,
            now,
            self.measured,
        )

    def keep_warm(self) -> None:
        """Have the engine start containers ahead, as WARM asks for. Raises InfrastructureError."""
        if self.settings.warm:
            from orchestrator.execution.waiting_plans import waiting_plans  # noqa: PLC0415  few workers keep any

            self.engine.keep_warm(waiting_plans(self.settings, self.deployment, self.engine.identity()))

    def let_cool(self) -> None:
        """Have the engine remove the containers that wait, and start none."""
        if self.settings.warm:
            self.engine.keep_warm(())

    @cached_property
    def servers(self) -> "ServerGauges":
        """What the servers tell of the queue and the database, for the metrics."""
        from orchestrator.metrics.server_gauges import ServerGauges  # noqa: PLC0415  most commands tell no metrics

        return ServerGauges(self.store, self.queue)

    @property
    def spool_dir(self) -> Path:
        """Where the output of this deployment's tasks waits until it is uploaded."""
        return self.home.spool_dir

    def sweep(self, adopt: Callable[[str, str], None], resume: Callable[[str, str], None] | None = None) -> "Sweep":
        """What finds and mends what is lost or left behind; ``resume`` is ``adopt`` unless it is given."""
        from orchestrator.reconcile.reconciler import GracePeriods, Sweep  # noqa: PLC0415  most commands mend nothing

        return Sweep(
            store=self.store,
            queue=self.queue,
            events=self.events,
            engine=self.engine,
            lock=self.lock,
            deployment=self.deployment,
            spool_dir=self.spool_dir,
            objects=self.logs,
            graces=GracePeriods(self.settings.orphan_grace, self.settings.engine_patience, self.settings.spool_grace),
            adopt=adopt,
            resume=resume or adopt,
            holds=self.runner.leases.holds,
            check=self.expect_own_database,
        )

    @property
    def removal(self) -> "Removal":
        """Removes ended tasks and what object storage has of them."""
        from orchestrator.reconcile.removal import Removal  # noqa: PLC0415  most commands remove nothing

        return Removal(self.store, self.logs, self.expect_own_database, forget=self._forget)

    def _forget(self, task_ids: Collection[str]) -> None:
        if self.live:
            self.live.drop(self.deployment, task_ids)

    @property
    def retention(self) -> "Retention":
        """Removes what has been kept for long enough."""
        from orchestrator.reconcile.retention import KeepTimes, Retention  # noqa: PLC0415  most commands remove nothing

        times = KeepTimes(self.settings.keep_tasks, self.settings.keep_logs, self.settings.keep_artifacts)
        return Retention(self.removal, self.lock, self.deployment, times)

    def stray_objects(self, grace: float) -> "StrayObjects":
        """What object storage has that no task of this database has, older than ``grace`` seconds."""
        from orchestrator.reconcile.stray_objects import StrayObjects  # noqa: PLC0415  most commands remove nothing

        return StrayObjects(self.store, self.logs, grace, now, self.expect_own_database)

    def are_ours(self, calls: "Sequence[Call]") -> list[bool]:
        """Which jobs are for tasks of this database; those that do not say are looked for there, and left while it is away."""
        unsure = {call.task_id for call in calls if call.task_id and not call.deployment and is_id(call.task_id)}
        deployment: str | None = None
        try:
            deployment = self.deployment
            missing = unsure - self.store.standing(unsure).keys()
        except InfrastructureError as error:
            logger.debug("jobs that may be of this installation stay in line: {}", error)
            missing = unsure
        return [call.deployment == deployment if call.deployment else call.task_id not in missing for call in calls]

    def look(self) -> None:
        """Judge whether the database is the one that this host knows, and remember it. Raises InfrastructureError."""
        self.store.deployment()
        origin = self.store.origin()
        before, self.halted = self.halted, self._objection_to(origin)
        self._looked_at = time.monotonic()
        if self.halted and self.halted != before:
            logger.error("takes no tasks and sweeps nothing: {}", self.halted)
        elif before and not self.halted:
            logger.info("takes tasks again: the database is the deployment's own")
        if not self.halted:
            Memory.of(self.settings).keep(origin.id)

    def look_again(self) -> None:
        """The same, when the last look is older than SWEEP_INTERVAL."""
        if time.monotonic() - self._looked_at > self.settings.sweep_interval:
            self.look()

    def expect_own_database(self) -> None:
        """Raise WrongDatabase when something stands against what this database says; InfrastructureError when it is away."""
        if why := self.objection():
            raise WrongDatabase(why)

    def objection(self) -> str:
        """Why nothing may be run or swept with this database, in a sentence; else empty. Raises InfrastructureError."""
        return self._objection_to(self.store.origin())

    def _objection_to(self, origin: Origin) -> str:
        return objection(origin, Memory.of(self.settings).known, self.home.known)

    @cached_property
    def home(self) -> Deployment:
        """Whose containers and spools these are."""
        return Deployment(self.store, self.settings.spool_dir)

    @property
    def deployment(self) -> str:
        """Which deployment containers and spools belong to. Raises InfrastructureError."""
        return self.home.id


def now() -> datetime:
    """The time as documents have it: UTC, cut to milliseconds as the database does."""
    present = datetime.now(UTC)
    return present.replace(microsecond=present.microsecond // 1000 * 1000)
