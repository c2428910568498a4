"""Decides whether a task gets another attempt: after its program failed, and after the infrastructure broke its attempt.

The lifecycle asks the first from its table (``steps``), the runner asks the second.
"""

from orchestrator.cause import Cause
from orchestrator.execution.claim import Claim
from orchestrator.task.request import Rules
from statemachine import Trigger, rows_from


def may_retry_failed_program(claim: Claim, rules: Rules) -> bool:
    """Whether the program failed by itself and the task has ``retries`` left. Broken attempts do not count."""
    own = sum(attempt.cause is not Cause.INFRASTRUCTURE for attempt in claim.task.attempts)
    return claim.cause is not None and claim.cause.rule.is_retried and own < claim.granted(rules).retries


def may_repeat_broken_attempt(claim: Claim, most: int) -> bool:
    """Whether a task whose attempt was broken, in a state that has a way back, has had fewer than ``most`` such attempts.

    An attempt that a worker cut off because it was told to leave does not count.
    """
    if not any(rows_from(claim.state, Trigger.RETRY)):
        return False
    broken = sum(attempt.cause is Cause.INFRASTRUCTURE and not attempt.handed_over for attempt in claim.task.attempts)
    return broken + 1 < most or claim.task.is_cut_off
