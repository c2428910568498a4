"""Carries one task from where it is stored to its end."""

from attrs import frozen
from loguru import logger

from orchestrator.cause import Cause
from orchestrator.effects import Effects
from orchestrator.errors import InfrastructureError, Superseded, TaskFailure
from orchestrator.leases import Leases
from orchestrator.ledger import Ledger
from orchestrator.patience import Patience
from orchestrator.run import Run
from orchestrator.task import Fields, Task
from statemachine import Bindings, Guard, Lifecycle, Trigger, next_trigger


def bind(effects: Effects, ledger: Ledger) -> Lifecycle[Run, Fields]:
    """The lifecycle with one function bound to each trigger and guard of the table."""
    bindings = Bindings(
        work={
            Trigger.START: effects.start,
            Trigger.WAIT: effects.wait,
            Trigger.COLLECT: effects.collect,
            Trigger.UPLOAD: effects.upload,
        },
        guards={
            Guard.EXITED_CLEANLY: lambda run: run.task.cause is None,
            Guard.RAN_OUT_OF_TIME: lambda run: run.task.cause is Cause.TIMEOUT,
            Guard.WENT_WRONG: lambda run: run.task.cause not in {None, Cause.TIMEOUT},
        },
        record=ledger.record,
        announce=ledger.announce,
        release=effects.release,
    )
    return Lifecycle(bindings)


@frozen
class Budgets:
    """Seconds of waiting between tries before a task is failed for a service that stays away."""

    work: float
    upload: float


@frozen
class Runner:
    """Claims tasks and drives them; the only place that decides what an error means for a task."""

    leases: Leases
    lifecycle: Lifecycle[Run, Fields]
    patience: Patience
    budgets: Budgets

    def run(self, task_id: str) -> Task | None:
        """Run the task to its end, from whatever state is stored, and return it; None when it is not ours to run."""
        with logger.contextualize(task=task_id), self.leases.hold(task_id) as held:
            if held is None:
                logger.info("nothing to do: the task is unknown, finished or in other hands")
                return None
            task = Task.from_document(held.document)
            run = Run(task, held.token, task.status, published=task.published)
            run.container = task.container.id if task.container else ""
            try:
                self._drive(run)
            except Superseded as error:
                logger.warning("let go: {}", error)
                return None
            finally:
                if run.capture:
                    run.capture.stop()
            return run.task

    def _drive(self, run: Run) -> None:
        while (trigger := next_trigger(run.state)) is not None:
            uploading = trigger is Trigger.UPLOAD
            try:
                self.patience.within(self.budgets.upload if uploading else self.budgets.work, self.lifecycle.fire, run, trigger)
            except TaskFailure as failure:
                self._fail(run, failure)
            except InfrastructureError as error:
                self._fail(run, TaskFailure(Cause.UPLOAD if uploading else Cause.INFRASTRUCTURE, str(error)))

    def _fail(self, run: Run, failure: TaskFailure) -> None:
        evidence = {**run.task.evidence, **failure.evidence}
        self.lifecycle.fail(run, {"cause": failure.cause, "message": failure.message, "evidence": evidence})
