"""Carries one task from where it is stored to its end, and decides what an error on the way means for it."""

import threading
from contextlib import suppress

from attrs import evolve, frozen

from orchestrator.cause import Cause
from orchestrator.errors import (
    STORAGE,
    CancelRequested,
    InfrastructureError,
    Interrupted,
    InvalidTask,
    Postponed,
    Superseded,
    TaskFailure,
)
from orchestrator.execution.claim import Claim
from orchestrator.execution.leases import HeldLease, Leases
from orchestrator.execution.program import Programs
from orchestrator.execution.retry_rule import may_repeat_broken_attempt
from orchestrator.execution.room import Room
from orchestrator.execution.steps import Steps
from orchestrator.log import logger
from orchestrator.output.artifacts import nothing
from orchestrator.retrying import Retrier
from orchestrator.task.artifact import WHOLE
from orchestrator.task.document import Task
from orchestrator.task.values import Fields
from statemachine import INITIAL, KEEPING, TERMINAL, Lifecycle, State, Trigger, next_trigger


@frozen
class Budgets:
    """Seconds of waiting between tries before an attempt is given up for a service that stays away, and the most attempts."""

    work: float
    upload: float
    attempts: int


@frozen
class Runner:
    """Claims tasks and drives them; the only place that decides what an error means for a task."""

    leases: Leases
    programs: Programs
    steps: Steps
    lifecycle: Lifecycle[Claim, Fields]
    retrier: Retrier
    budgets: Budgets
    room: Room

    def run(self, task_id: str, engine: str | None = None) -> Task | None:
        """Run the task to its end, from whatever state is stored, and return it; None when it is not to be run here.

        ``engine`` is the one that the task is bound to, when that is not this worker's own: then a new attempt is made here.
        """
        with logger.contextualize(task=task_id):
            try:
                return self._run_on(task_id, engine or Retrier(self.room.admission.pause).forever(self._engine_here))
            except Postponed as error:
                logger.info("let go: {}", error)
                return None

    def _run_on(self, task_id: str, engine: str) -> Task | None:
        try:
            with self.leases.hold(task_id, engine) as held:
                if held is None:
                    self.steps.observer.refused()
                    logger.info("nothing to do: the task is unknown, finished or in other hands")
                    return None
                return self._drive(self._claim(held))
        except InvalidTask as refusal:
            return self._condemn(task_id, engine, refusal)

    def _engine_here(self) -> str:
        """The engine's id. Raises InfrastructureError, or Postponed once the worker is to stop."""
        try:
            return self.programs.engine.identity()
        except InfrastructureError as error:
            if self.room.admission.closed:
                raise Postponed(f"the worker is to stop, and its engine is away: {error}") from None
            raise

    def _condemn(self, task_id: str, engine: str, refusal: InvalidTask) -> Task | None:
        """End a task that can be neither read nor moved; again when somebody else, who found the same, held it as it was."""
        logger.error("the document is given up: {}", refusal)
        for _ in range(10):
            self.leases.reset(task_id)
            with suppress(InvalidTask), self.leases.hold(task_id, engine) as held:
                if held is None:
                    return None
                claim = self._claim(held)
                self._fail(claim, refusal)
                return claim.task
        return None

    def cancel_queued(self, task_id: str) -> None:
        """End a task that waits in the queue and was asked to be cancelled; one that has started is its holder's to end.

        So is one that was about to start when its worker died: only a worker on its engine can end its program.
        """
        with logger.contextualize(task=task_id), self.leases.hold(task_id, None) as held:
            if held is None:
                return
            if (claim := self._claim(held)).state is INITIAL and not claim.task.starting:
                self._cancel(claim)
            else:
                self.leases.let_go(task_id, held.token)

    def _claim(self, lease: HeldLease) -> Claim:
        """The claim as the document says. Raises InvalidTask for one that no worker wrote."""
        task = Task.from_document(lease.document)
        claim = Claim(task, lease, self.leases, task.status, published=task.published)
        claim.cancelled = task.cancel_requested_at is not None
        claim.adopted = claim.state is not INITIAL or task.starting is not None
        lease.holder = _Holder(self, claim)
        self.steps.observer.claimed(claim)
        return claim

    def _drive(self, claim: Claim) -> Task | None:
        try:
            self.steps.announce.publish(claim)
            if claim.state is not INITIAL:
                self.room.count(claim)
            while (trigger := next_trigger(claim.state)) is not None:
                self._step(claim, trigger)
                if claim.state in KEEPING:
                    self.room.count(claim)
                elif claim.state is not State.RUNNING:
                    self.room.leave(claim)
        except Superseded as error:
            logger.warning("let go: {}", error)
            self.leases.let_go(claim.task.id, claim.token)
            return None
        finally:
            self.room.leave(claim)
            claim.attempt.look_away()
        return claim.task

    def _step(self, claim: Claim, trigger: Trigger) -> None:
        uploading = trigger is Trigger.UPLOAD
        try:
            if claim.state is INITIAL:
                self.room.make(claim)
            self._fire(claim, trigger, self.budgets.upload if uploading else self.budgets.work)
        except CancelRequested:
            self._cancel(claim)
        except TaskFailure as failure:
            if claim.state is State.UPLOADING and isinstance(failure, InvalidTask):
                self._store_less(claim, failure)
            else:
                self._fail(claim, failure)
        except (Interrupted, InfrastructureError) as error:
            if claim.state in KEEPING:
                self._finish(claim, error)
            else:
                self._retry(claim, str(error))
        except (Superseded, Postponed):
            raise
        except Exception as error:  # noqa: BLE001  a bug must not leave the task in between for ever
            logger.exception("the worker has a fault")
            if claim.state in TERMINAL:
                return  # the next sweep does what is left to do
            self._fail(claim, TaskFailure(Cause.INFRASTRUCTURE, f"the worker has a fault: {type(error).__name__}: {error}"))

    def _fire(self, claim: Claim, trigger: Trigger, budget: float) -> None:
        """Within the budget; no try is made for a task that somebody else has by now."""

        def fire() -> None:
            claim.assure_held()
            self.lifecycle.fire(claim, trigger)

        evolve(self.retrier, over=claim.lost).within(budget, fire)

    def _store_less(self, claim: Claim, refusal: InvalidTask) -> None:
        """A program that has finished is not invalid: where its result cannot be stored, it is stored without artifacts."""
        logger.warning("goes on without artifacts: {}", refusal)
        claim.attempt.gathered = nothing([WHOLE], f"there is no room for it in the document of the task: {refusal}")
        try:
            self._fire(claim, Trigger.UPLOAD, self.budgets.upload)
        except InvalidTask as error:
            self._fail_unstored(claim, error)
        except (Interrupted, InfrastructureError) as error:
            self._finish(claim, error)

    def _finish(self, claim: Claim, trouble: Interrupted | InfrastructureError) -> None:
        """A program that has finished is never run again: what can be had of its output has to do, once, and is stored next."""
        try:
            if claim.attempt.sealed is not None or (isinstance(trouble, InfrastructureError) and trouble.service == STORAGE):
                raise trouble
            logger.warning("goes on with what there is of the output: {}", trouble)
            self.steps.collect.settle_for_less(claim)
        except (Interrupted, InfrastructureError) as error:
            self._fail_unstored(claim, error)

    def _fail_unstored(self, claim: Claim, trouble: Exception) -> None:
        outcome = claim.task.outcome
        message = f"{outcome.message}, but its log could not be stored: {trouble}"
        self._fail(claim, TaskFailure(Cause.UPLOAD, message, {"cause": outcome.cause} if outcome.cause else None))

    def _cancel(self, claim: Claim) -> None:
        """Before it has started it fails at once; while it runs the program is ended, and waiting for it tells the rest."""
        claim.cancelled = True
        if claim.state is INITIAL:
            when = "before its program ran"
            if claim.attempt.deadline is not None or claim.task.starting:
                when = "as its program started, so there is no output of it"
            self._fail(claim, TaskFailure(Cause.CANCELLED, f"the task was cancelled {when}"))
        else:
            self.programs.end_quietly(claim, claim.attempt, Cause.CANCELLED)

    def _retry(self, claim: Claim, trouble: str) -> None:
        """A new attempt for what the infrastructure broke, as long as there may be one."""
        if not may_repeat_broken_attempt(claim, self.budgets.attempts):
            self._fail(claim, TaskFailure(Cause.INFRASTRUCTURE, trouble))
            return
        claim.broken = trouble
        try:
            self._fire(claim, Trigger.RETRY, self.budgets.work)
        except InfrastructureError as error:
            self._fail(claim, TaskFailure(Cause.INFRASTRUCTURE, f"{trouble}; then {error}"))

    def _fail(self, claim: Claim, failure: TaskFailure) -> None:
        evidence = {**claim.task.evidence, **failure.evidence}
        try:
            self.lifecycle.fail(claim, {"cause": failure.cause, "message": failure.message, "evidence": evidence})
        except CancelRequested:
            self._fail(claim, TaskFailure(Cause.CANCELLED, f"the task was cancelled; {failure.message}", failure.evidence))


@frozen
class _Holder:
    """What the threads of the leases may ask of the runner of a task."""

    runner: Runner
    claim: Claim

    def cancel(self) -> None:
        """End the program if it runs; the thread that drives the task sees the rest."""
        claim = self.claim
        claim.cancelled = True
        if claim.state is State.RUNNING and not claim.attempt.ending.locked():
            threading.Thread(target=self._end_cancelled, daemon=True).start()

    def catch_up(self) -> bool:
        """Publish what is stored and could not be published; whether all is."""
        return self.runner.steps.announce.publish(self.claim)

    def cut_off(self, seconds: float) -> str | None:
        """Wait for the program's input; the id of the container that has not got all of it."""
        return self.runner.programs.cut_off(self.claim, seconds)

    def abandon(self) -> None:
        """End the program of a task that is held no more."""
        self.runner.programs.abandon(self.claim)

    def _end_cancelled(self) -> None:
        with logger.contextualize(task=self.claim.task.id):
            self.runner.programs.end_quietly(self.claim, self.claim.attempt, Cause.CANCELLED)
