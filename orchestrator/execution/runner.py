"""Carries one task from where it is stored to its end."""

import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial

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
from orchestrator.execution.admission import Admission
from orchestrator.execution.effects import Effects
from orchestrator.execution.leases import Held, Leases
from orchestrator.execution.ledger import Ledger
from orchestrator.execution.output import Output
from orchestrator.execution.retrying import Patience
from orchestrator.execution.room import KEEPING, needed
from orchestrator.execution.run import Run
from orchestrator.log import logger
from orchestrator.task.document import Task
from orchestrator.task.units import format_size
from orchestrator.task.values import Fields
from statemachine import INITIAL, TERMINAL, Bindings, Guard, Lifecycle, State, Trigger, next_trigger, rows_from


def bind(effects: Effects, output: Output, ledger: Ledger) -> Lifecycle[Run, Fields]:
    """The lifecycle with one function bound to each trigger and guard of the table."""

    def tries_again(run: Run) -> bool:
        """Whether the program failed by itself and has retries left; attempts that the infrastructure cost do not count."""
        own = sum(attempt.cause is not Cause.INFRASTRUCTURE for attempt in run.task.attempts)
        return run.cause in _RETRIED and own < run.granted(effects.rules).retries

    def release(run: Run) -> None:
        left_nothing = not run.lost.is_set() and effects.release(run)
        if run.state is INITIAL:
            run.begin_anew()
        elif left_nothing:
            ledger.settle(run)

    bindings = Bindings(
        work={
            Trigger.START: effects.start,
            Trigger.WAIT: effects.wait,
            Trigger.COLLECT: output.collect,
            Trigger.UPLOAD: output.upload,
            Trigger.RETRY: effects.retry,
        },
        guards={
            Guard.EXITED_CLEANLY: lambda run: run.cause is None,
            Guard.TRIES_AGAIN: tries_again,
            Guard.RAN_OUT_OF_TIME: lambda run: run.cause is Cause.TIMEOUT and not tries_again(run),
            Guard.WENT_WRONG: lambda run: run.cause not in {None, Cause.TIMEOUT} and not tries_again(run),
        },
        record=ledger.record,
        announce=ledger.announce,
        release=release,
    )
    return Lifecycle(bindings)


@frozen
class Budgets:
    """Seconds of waiting between tries before an attempt is given up for a service that stays away, and the most attempts."""

    work: float
    upload: float
    attempts: int


@frozen
class Runner:
    """Claims tasks and drives them; the only place that decides what an error means for a task.

    ``catch_up`` publishes what is stored and not known to be published, by an earlier holder too; whether all is. Never raises.
    ``settle_for_less`` takes what can be had of a finished program's output.
    """

    leases: Leases
    effects: Effects
    lifecycle: Lifecycle[Run, Fields]
    patience: Patience
    budgets: Budgets
    admission: Admission
    catch_up: Callable[[Run], bool]
    settle_for_less: Callable[[Run], None]

    def run(self, task_id: str, engine: str | None = None) -> Task | None:
        """Run the task to its end, from whatever state is stored, and return it; None when it is not ours to run.

        ``engine`` is the one that the task is bound to, when that is not this worker's own: then a new attempt is made here.
        """
        with logger.contextualize(task=task_id):
            try:
                return self._run_on(task_id, engine or Patience(self.admission.pause).forever(self._engine_here))
            except Postponed as error:
                logger.info("let go: {}", error)
                return None

    def _run_on(self, task_id: str, engine: str) -> Task | None:
        try:
            with self.leases.hold(task_id, engine) as held:
                if held is None:
                    logger.info("nothing to do: the task is unknown, finished or in other hands")
                    return None
                return self._drive(self._run(held))
        except InvalidTask as refusal:
            return self._condemn(task_id, engine, refusal)

    def _engine_here(self) -> str:
        """The engine's id. Raises InfrastructureError, or Postponed once the worker is to stop."""
        try:
            return self.effects.engine.identity()
        except InfrastructureError as error:
            if self.admission.closed:
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
                run = self._run(held)
                self._fail(run, refusal)
                return run.task
        return None

    def cancel(self, task_id: str) -> None:
        """End a task that waits in the queue and was asked to be cancelled; one that has started is its holder's to end."""
        with logger.contextualize(task=task_id), self.leases.hold(task_id, None) as held:
            if held is None:
                return
            if (run := self._run(held)).state is INITIAL:
                self._cancel(run)
            else:
                self.leases.let_go(task_id, held.token)

    def _run(self, held: Held) -> Run:
        """The run as the document says. Raises InvalidTask for one that no worker wrote."""
        task = Task.from_document(held.document)
        run = Run(task, held.token, task.status, published=task.published)
        run.cancelled = task.cancel_requested_at is not None
        run.lost, lease = held.lost, (run.task.id, held)
        run.check_held, run.assure_held = partial(self.leases.check, *lease), partial(self.leases.assure, *lease)
        held.on_cancel, held.catch_up = partial(self._hear_cancel, run), partial(self.catch_up, run)
        held.cut_off, held.end = partial(self.effects.cut_off, run), partial(self.effects.abandon, run)
        return run

    def _hear_cancel(self, run: Run) -> None:
        """From the heartbeat: end the program if it runs; whoever drives the run sees the rest."""
        run.cancelled = True
        if run.state is State.RUNNING and not run.ending.locked():
            threading.Thread(target=self._end_cancelled, args=(run,), daemon=True).start()

    def _end_cancelled(self, run: Run) -> None:
        with logger.contextualize(task=run.task.id):
            self.effects.end_quietly(run, Cause.CANCELLED)

    def _drive(self, run: Run) -> Task | None:
        try:
            self.catch_up(run)
            if run.state is not INITIAL:
                self._count(run)
            while (trigger := next_trigger(run.state)) is not None:
                self._step(run, trigger)
                if run.state in KEEPING:
                    self._count(run)
                elif run.state is not State.RUNNING:
                    self.admission.leave(run.token)
        except Superseded as error:
            logger.warning("let go: {}", error)
            self.leases.let_go(run.task.id, run.token)
            return None
        finally:
            self.admission.leave(run.token)
            run.look_away()
        return run.task

    def _count(self, run: Run) -> None:
        """A program that another process began, or what one has left in /out, takes its room, whether or not there is any."""
        try:
            self.admission.take(run.token, needed(run.state, run.granted(self.effects.rules)))
        except (InvalidTask, InfrastructureError) as error:
            logger.warning("goes uncounted: {}", error)

    def _make_room(self, run: Run) -> None:
        """Wait, queued, until what runs here leaves room for the task. Its lease may run out meanwhile, hence the question."""
        share = needed(run.state, run.granted(self.effects.rules))
        room = run.cancelled or self.patience.within(self.budgets.work, self.admission.ask, run.token, share)
        if not room and self.patience.within(self.budgets.work, self.effects.begun, run):
            self.admission.take(run.token, share)
        elif not room:
            logger.info("waits until a slot, {:g} CPUs and {} are free", share.cpus, format_size(share.memory))
            self.admission.wait(run.token, lambda: run.cancelled or run.lost.is_set())
            self.leases.confirm(run.task.id, run.token)
        run.check_wanted()

    def _step(self, run: Run, trigger: Trigger) -> None:
        uploading = trigger is Trigger.UPLOAD
        try:
            if run.state is INITIAL:
                self._make_room(run)
            self._fire(run, trigger, self.budgets.upload if uploading else self.budgets.work)
        except CancelRequested:
            self._cancel(run)
        except TaskFailure as failure:
            self._fail(run, failure)
        except (Interrupted, InfrastructureError) as error:
            if run.state in KEEPING:
                self._finish(run, error)
            else:
                self._retry(run, str(error))
        except (Superseded, Postponed):
            raise
        except Exception as error:  # noqa: BLE001  a fault of ours must not leave the task in between for ever
            logger.exception("the worker has a fault")
            if run.state in TERMINAL:
                return  # the next sweep does what is left to do
            self._fail(run, TaskFailure(Cause.INFRASTRUCTURE, f"the worker has a fault: {type(error).__name__}: {error}"))

    def _fire(self, run: Run, trigger: Trigger, budget: float) -> None:
        """Within the budget; no try is made for a task that somebody else has by now."""

        def fire() -> None:
            run.assure_held()
            self.lifecycle.fire(run, trigger)

        evolve(self.patience, over=run.lost).within(budget, fire)

    def _finish(self, run: Run, trouble: Interrupted | InfrastructureError) -> None:
        """A program that has finished is never run again: what can be had of its output has to do, once, and is stored next."""
        try:
            if run.sealed is not None or (isinstance(trouble, InfrastructureError) and trouble.service == STORAGE):
                raise trouble
            logger.warning("goes on with what there is of the output: {}", trouble)
            self.settle_for_less(run)
        except (Interrupted, InfrastructureError) as error:
            outcome = run.task.outcome
            message = f"{outcome.message}, but its log could not be stored: {error}"
            self._fail(run, TaskFailure(Cause.UPLOAD, message, {"cause": outcome.cause} if outcome.cause else None))

    def _cancel(self, run: Run) -> None:
        """Before it has started it fails at once; while it runs the program is ended, and waiting for it tells the rest."""
        run.cancelled = True
        if run.state is INITIAL:
            when = "before its program ran" if run.deadline is None else "as its program started, so there is no output of it"
            self._fail(run, TaskFailure(Cause.CANCELLED, f"the task was cancelled {when}"))
        else:
            self.effects.end_quietly(run, Cause.CANCELLED)

    def _retry(self, run: Run, trouble: str) -> None:
        """A new attempt for what the infrastructure broke, as long as there may be one.

        What a worker cut off because it was told to leave does not count.
        """
        broken = sum(attempt.cause is Cause.INFRASTRUCTURE and not attempt.handed_over for attempt in run.task.attempts)
        too_many = broken + 1 >= self.budgets.attempts and not run.task.is_cut_off
        if too_many or not any(rows_from(run.state, Trigger.RETRY)):
            self._fail(run, TaskFailure(Cause.INFRASTRUCTURE, trouble))
            return
        run.broken = trouble
        try:
            self._fire(run, Trigger.RETRY, self.budgets.work)
        except InfrastructureError as error:
            self._fail(run, TaskFailure(Cause.INFRASTRUCTURE, f"{trouble}; then {error}"))

    def _fail(self, run: Run, failure: TaskFailure) -> None:
        evidence = {**run.task.evidence, **failure.evidence}
        try:
            self.lifecycle.fail(run, {"cause": failure.cause, "message": failure.message, "evidence": evidence})
        except CancelRequested:
            self._fail(run, TaskFailure(Cause.CANCELLED, f"the task was cancelled; {failure.message}", failure.evidence))


_RETRIED = frozenset({Cause.EXIT, Cause.SIGNAL, Cause.OOM, Cause.TIMEOUT, Cause.OUTPUT_LIMIT})
