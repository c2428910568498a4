"""ANNOUNCE: publish what is stored, so that the events are an exact mirror of the history.

It is the first callback after the transition: what it publishes is stored, and it must not raise.
"""

from attrs import frozen

from orchestrator.errors import InfrastructureError, Superseded
from orchestrator.execution.claim import Claim
from orchestrator.execution.deployment import Deployment
from orchestrator.log import logger
from orchestrator.ports import EventBus
from orchestrator.task.event import Event
from statemachine import Step


@frozen
class Announce:
    """It never raises: what stays behind goes out with the next event."""

    events: EventBus
    deployment: Deployment

    def __call__(self, claim: Claim, step: Step) -> None:
        """Publish all that is stored and not yet published, in order.

        That it went out is noted in the next record, so it costs a write of its own only after the last one.
        """
        self.publish(claim)
        logger.info("{} -> {}", step.source, step.dest)

    def publish(self, claim: Claim) -> bool:
        """Publish what is not known to be, perhaps once more, in order whichever thread does so; whether all is. Never raises.

        Nothing is published of a task that somebody else has by now.
        """
        with claim.publishing:
            try:
                for event in Event.all_of(claim.task, claim.published, self.deployment.id):
                    claim.check_held()
                    self.events.publish(event)
                    claim.published = event.seq
            except (InfrastructureError, Superseded) as error:
                logger.warning("stored, but not published beyond {}: {}", claim.published, error)
                return False
        return True
