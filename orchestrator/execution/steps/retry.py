"""RETRY: bind the next attempt to this engine. Whether there is one, ``execution.retry_rule`` decides.

The broken attempt's container is removed once this is recorded, for only then is it sure that nobody else has the task.
"""

from attrs import frozen

from orchestrator.cause import Cause
from orchestrator.execution.claim import Claim
from orchestrator.ports import Engine
from orchestrator.task.values import Fields


@frozen
class Retry:
    """What the infrastructure broke is told with the attempt."""

    engine: Engine

    def __call__(self, claim: Claim) -> Fields:
        """How the attempt broke, and the engine of the next one."""
        claim.attempt.look_away()
        return {"cause": Cause.INFRASTRUCTURE, "message": claim.broken, "engine": self.engine.identity()}
