"""The services of one process, whichever adapters they are, and the runner on top of them."""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import cached_property
from math import inf
from pathlib import Path

from attrs import define, field

from orchestrator.adapters.redis.job import Call
from orchestrator.errors import InfrastructureError, WrongDatabase
from orchestrator.execution.admission import Admission, Capacity, Share
from orchestrator.execution.effects import Effects
from orchestrator.execution.leases import Leases
from orchestrator.execution.ledger import Ledger
from orchestrator.execution.output import Output
from orchestrator.execution.retrying import Patience
from orchestrator.execution.runner import Budgets, Runner, bind
from orchestrator.log import logger
from orchestrator.ports import Engine, EventBus, ObjectStore, Origin, Queue, SharedLock, TaskStore
from orchestrator.reconcile.deployment import Memory, objection
from orchestrator.reconcile.reconciler import GracePeriods, Sweep
from orchestrator.settings.settings import Settings
from orchestrator.task.request import is_id


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
    patience: Patience = field(factory=Patience)
    halted: str = ""
    """Why this process takes no tasks, since it last looked; empty when it may."""
    _looked_at: float = field(default=-inf, init=False)
    """By the monotonic clock."""

    def prepare(self) -> None:
        """Make the indexes and the bucket that are missing."""
        self.store.prepare()
        self.logs.prepare()

    @cached_property
    def runner(self) -> Runner:
        """Runs tasks on these services."""
        settings = self.settings
        leases = Leases(self.store, settings.name, settings.lease_ttl, self.patience)
        effects = Effects(
            engine=self.engine,
            rules=settings.rules,
            spool_dir=lambda: self.spool_dir,
            pull_policy=settings.pull_policy,
            default_user=settings.default_user,
            stop_grace=settings.stop_grace,
            worker=settings.name,
            deployment=lambda: self.deployment,
            begin=leases.begin,
            note_input=leases.note_input,
            note_ending=self.store.note_ending,
            runtime=settings.runtime,
            pull_timeout=settings.pull_timeout,
        )
        output = Output(self.engine, self.logs, settings.rules, lambda: self.spool_dir, effects.container)
        ledger = Ledger(self.store, self.events, now, self.patience, lambda: self.deployment, settings.name)
        budgets = Budgets(settings.retry_budget, settings.upload_budget, settings.max_attempts)
        admission = Admission(self._capacity, settings.concurrency)
        lifecycle = bind(effects, output, ledger)
        return Runner(leases, effects, lifecycle, self.patience, budgets, admission, ledger.publish, output.settle_for_less)

    def _capacity(self) -> Capacity:
        host = self.engine.host()
        return Capacity.of(Share(host.cpus, host.memory), self.settings.cpu_overcommit, self.settings.memory_budget)

    @property
    def spool_dir(self) -> Path:
        """Where the output of this deployment's tasks waits until it is uploaded."""
        return self.settings.spool_dir / self.deployment

    def sweep(self, adopt: Callable[[str, str], None], resume: Callable[[str, str], None] | None = None) -> Sweep:
        """What finds and mends what is lost or left behind; ``resume`` is ``adopt`` unless it is given."""
        return Sweep(
            store=self.store,
            queue=self.queue,
            events=self.events,
            engine=self.engine,
            lock=self.lock,
            deployment=self.deployment,
            spool_dir=self.spool_dir,
            graces=GracePeriods(self.settings.orphan_grace, self.settings.engine_patience, self.settings.spool_grace),
            adopt=adopt,
            resume=resume or adopt,
            holds=self.runner.leases.holds,
            check=self.expect_own_database,
        )

    def are_ours(self, calls: Sequence[Call]) -> list[bool]:
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
        begun_as = str(self.__dict__.get("deployment", ""))
        return objection(origin, Memory.of(self.settings).known, begun_as)

    @cached_property
    def deployment(self) -> str:
        """Which deployment containers and spools belong to. Raises InfrastructureError."""
        return self.store.deployment()


def now() -> datetime:
    """The time as documents have it: UTC, cut to milliseconds as the database does."""
    present = datetime.now(UTC)
    return present.replace(microsecond=present.microsecond // 1000 * 1000)
