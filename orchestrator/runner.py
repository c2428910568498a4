"""Carries one task from where it is stored to its end."""

import time
from collections.abc import Callable

from attrs import frozen
from loguru import logger
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

from orchestrator.cause import Cause
from orchestrator.effects import Effects
from orchestrator.errors import InfrastructureError, Superseded, TaskFailure
from orchestrator.leases import Leases
from orchestrator.ledger import Ledger
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
class Runner:
    """Claims tasks and drives them; the only place that decides what an error means for a task."""

    leases: Leases
    lifecycle: Lifecycle[Run, Fields]
    retry_budget: float
    sleep: Callable[[float], None] = time.sleep

    def run(self, task_id: str) -> Task | None:
        """Run the task to its end, from whatever state is stored, and return it; None when it is not ours to run.

        Raises InfrastructureError when it could not be brought to an end, not even to failed; it is then free to be claimed.
        """
        with logger.contextualize(task=task_id), self.leases.hold(task_id) as lease:
            if lease is None:
                logger.info("nothing to do: the task is unknown, finished or in other hands")
                return None
            task = Task.from_document(lease.document)
            run = Run(task, lease.token, task.status, published=task.published)
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
            try:
                self._retrying()(self.lifecycle.fire, run, trigger)
            except TaskFailure as failure:
                self._fail(run, failure)
            except InfrastructureError as error:
                cause = Cause.UPLOAD if trigger is Trigger.UPLOAD else Cause.INFRASTRUCTURE
                self._fail(run, TaskFailure(cause, str(error)))

    def _fail(self, run: Run, failure: TaskFailure) -> None:
        fields = {"cause": failure.cause, "message": failure.message, "evidence": failure.evidence}
        self._retrying()(self.lifecycle.fail, run, fields)

    def _retrying(self) -> Retrying:
        """Patience with the infrastructure: jittered exponential backoff until the budget is spent."""
        return Retrying(
            retry=retry_if_exception_type(InfrastructureError),
            wait=wait_random_exponential(multiplier=0.2, max=5),
            stop=stop_after_delay(self.retry_budget),
            sleep=self.sleep,
            before_sleep=_log_retry,
            reraise=True,
        )


def _log_retry(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    logger.warning("try {} failed and is made again: {}", state.attempt_number, error)
