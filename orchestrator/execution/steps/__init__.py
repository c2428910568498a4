"""The callbacks of the transition table, a module for each: this binds the table to them.

A state that is added brings a file here and a line in ``Steps.work`` where they are made, in ``execution.assembly``.
"""

from collections.abc import Callable, Mapping
from functools import partial

from attrs import field, frozen

from orchestrator.cause import Cause
from orchestrator.execution.claim import Claim
from orchestrator.execution.observer import Observer
from orchestrator.execution.retry_rule import may_retry_failed_program
from orchestrator.execution.steps.announce import Announce
from orchestrator.execution.steps.collect import Collect
from orchestrator.execution.steps.record import Record
from orchestrator.execution.steps.release import Release
from orchestrator.task.request import Rules
from orchestrator.task.values import Fields
from statemachine import Bindings, Guard, Lifecycle, Trigger


@frozen
class Steps:
    """One callback for each trigger that has work, and for each other slot."""

    work: Mapping[Trigger, Callable[[Claim], Fields]]
    collect: Collect
    """The same as in ``work``; the runner also asks it to settle for less."""
    record: Record
    announce: Announce
    release: Release
    observer: Observer = field(factory=Observer)
    """Counts what the callbacks do."""

    def lifecycle(self, rules: Rules) -> Lifecycle[Claim, Fields]:
        """The machine with its callbacks."""
        tries_again = partial(may_retry_failed_program, rules=rules)
        bindings = Bindings(
            work=self.work,
            guards={
                Guard.EXITED_CLEANLY: lambda claim: claim.cause is None,
                Guard.TRIES_AGAIN: tries_again,
                Guard.RAN_OUT_OF_TIME: lambda claim: claim.cause is Cause.TIMEOUT and not tries_again(claim),
                Guard.WENT_WRONG: lambda claim: claim.cause not in {None, Cause.TIMEOUT} and not tries_again(claim),
            },
            record=self.record,
            announce=self.announce,
            release=self.release,
        )
        return Lifecycle(self.observer.around(bindings))
