"""Counts what happens to the tasks of this process: the one place that sees every callback of the transition table."""

from collections.abc import Callable
from datetime import datetime

from attrs import evolve, field, frozen

from orchestrator.errors import (
    CancelRequested,
    InfrastructureError,
    Interrupted,
    Postponed,
    Superseded,
    TaskFailure,
)
from orchestrator.execution.claim import Claim
from orchestrator.metrics import declarations as metrics
from orchestrator.metrics.measurements import Measurements
from orchestrator.task.document import Task
from orchestrator.task.values import Fields, Logs, Metrics
from statemachine import INITIAL, TERMINAL, Bindings, State, Step, Trigger

_KINDS: tuple[tuple[type[Exception], str], ...] = (
    (CancelRequested, "cancelled"),
    (Superseded, "lost"),
    (Postponed, "postponed"),
    (Interrupted, "interrupted"),
    (TaskFailure, "task"),
)


@frozen
class Observer:
    """It changes nothing, and a move counts once it is stored."""

    measured: Measurements = field(factory=Measurements)

    def around(self, bindings: Bindings[Claim, Fields]) -> Bindings[Claim, Fields]:
        """The same callbacks, counted."""
        work = {trigger: self._timed(trigger, do) for trigger, do in bindings.work.items()}
        return evolve(bindings, work=work, record=self._counted(bindings.record))

    def claimed(self, claim: Claim) -> None:
        """Note that this process has the task now."""
        if claim.adopted:
            self.measured.count(metrics.ADOPTED, claim.state)

    def refused(self) -> None:
        """Note a delivery of a task for which there is nothing to do here."""
        self.measured.count(metrics.REFUSED)

    def _timed(self, trigger: Trigger, work: Callable[[Claim], Fields]) -> Callable[[Claim], Fields]:
        def timed(claim: Claim) -> Fields:
            try:
                with self.measured.timed(metrics.STEP, trigger):
                    return work(claim)
            except Exception as error:
                self.measured.count(metrics.STEP_ERRORS, trigger, _kind(error))
                raise

        return timed

    def _counted(self, record: Callable[[Claim, Step, Fields], None]) -> Callable[[Claim, Step, Fields], None]:
        def counted(claim: Claim, step: Step, fields: Fields) -> None:
            record(claim, step, fields)
            self._moved(claim.task, step)
            self._found(fields)

        return counted

    def _moved(self, task: Task, step: Step) -> None:
        measured = self.measured
        measured.count(metrics.TRANSITIONS, step.trigger, step.source, step.dest)
        if step.trigger is Trigger.START:
            measured.observe(metrics.WAIT, _lasted(task))
        if step.source is State.RUNNING:
            measured.observe(metrics.RUN, _lasted(task))
        if step.dest in TERMINAL:
            measured.count(metrics.ENDED, step.dest, task.cause or metrics.NO_CAUSE)
        if step.dest is INITIAL:
            measured.count(metrics.RETRIED, task.attempts[-1].cause or metrics.NO_CAUSE)

    def _found(self, fields: Fields) -> None:
        """What the work of the step found."""
        if isinstance(logs := fields.get("logs"), Logs):
            streams = logs.stdout, logs.stderr
            self.measured.count(metrics.UPLOADED, "logs", by=sum(each.bytes for each in streams))
            self.measured.count(metrics.OUTPUT_DROPPED, by=sum(each.dropped for each in streams))
        if isinstance(stored := fields.get("artifacts_stored"), tuple):
            self.measured.count(metrics.UPLOADED, "artifacts", by=sum(each.bytes for each in stored))
        if isinstance(used := fields.get("metrics"), Metrics):
            for figure in (*used.missing, *([] if used.samples else ["cpu_percent"])):
                self.measured.count(metrics.FIGURES_MISSING, figure)


def _kind(error: Exception) -> str:
    if isinstance(error, InfrastructureError):
        return error.service
    return next((kind for known, kind in _KINDS if isinstance(error, known)), metrics.FAULT)


def _lasted(task: Task) -> float:
    """Seconds in the state that the last move left."""
    times = [task.created_at, *(entry.at for entry in task.history)]
    came, went = times[-2:]
    return (went - came).total_seconds() if isinstance(came, datetime) and isinstance(went, datetime) else 0.0
