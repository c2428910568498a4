"""The services of one process, whichever adapters they are, and the runner on top of them."""

from datetime import UTC, datetime
from functools import cached_property

from attrs import define, field

from orchestrator.effects import Effects
from orchestrator.leases import Leases
from orchestrator.ledger import Ledger
from orchestrator.patience import Patience
from orchestrator.ports import Engine, EventBus, LogStore, Queue, TaskStore
from orchestrator.runner import Budgets, Runner, bind
from orchestrator.settings import Settings


@define(slots=False)
class Services:
    """The adapters of one process and the runner on top of them."""

    settings: Settings
    store: TaskStore
    events: EventBus
    queue: Queue
    logs: LogStore
    engine: Engine
    patience: Patience = field(factory=Patience)

    def prepare(self) -> None:
        """Make the indexes and the bucket that are missing."""
        self.store.prepare()
        self.logs.prepare()

    @cached_property
    def runner(self) -> Runner:
        """Runs tasks on these services."""
        settings = self.settings
        effects = Effects(
            engine=self.engine,
            logs=self.logs,
            rules=settings.rules,
            spool_dir=settings.spool_dir,
            pull_policy=settings.pull_policy,
            default_user=settings.default_user,
            stop_grace=settings.stop_grace,
            worker=settings.name,
        )
        ledger = Ledger(self.store, self.events, now, self.patience)
        leases = Leases(self.store, settings.name, settings.lease_ttl, self.patience)
        budgets = Budgets(settings.retry_budget, settings.upload_budget)
        return Runner(leases, bind(effects, ledger), self.patience, budgets)


def now() -> datetime:
    """The time as documents have it: UTC, cut to milliseconds as the database does."""
    time = datetime.now(UTC)
    return time.replace(microsecond=time.microsecond // 1000 * 1000)
