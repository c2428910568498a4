"""The room of a task on this host: it waits for it before its program starts, and has it until nothing of it is left."""

from attrs import frozen

from orchestrator.errors import InfrastructureError, InvalidTask
from orchestrator.execution.admission import Admission, Share, needed
from orchestrator.execution.claim import Claim
from orchestrator.execution.program import Programs
from orchestrator.log import logger
from orchestrator.retrying import Retrier
from orchestrator.task.units import format_size


@frozen
class Room:
    """What the claims of one worker share. ``budget`` is the seconds of waiting for a service between tries."""

    admission: Admission
    programs: Programs
    retrier: Retrier
    budget: float

    def make(self, claim: Claim) -> None:
        """Wait, queued, until what runs here leaves room for the task. Its lease may run out meanwhile, hence the question.

        Raises InvalidTask when there can never be enough, CancelRequested, Postponed, Superseded and InfrastructureError.
        """
        share = self._share(claim)
        if not claim.cancelled and not self.retrier.within(self.budget, self.admission.ask, claim.token, share):
            self._wait(claim, share)
        claim.check_wanted()

    def count(self, claim: Claim) -> None:
        """A program that another process began, or what one has left in /out, takes its room, whether or not there is any."""
        try:
            self.admission.take(claim.token, self._share(claim))
        except (InvalidTask, InfrastructureError) as error:
            logger.warning("goes uncounted: {}", error)

    def leave(self, claim: Claim) -> None:
        """Give it back, if there was any."""
        self.admission.leave(claim.token)

    def _share(self, claim: Claim) -> Share:
        return needed(claim.state, claim.granted(self.programs.rules))

    def _wait(self, claim: Claim, share: Share) -> None:
        """A program that a dead worker has started takes its room at once: it runs already."""
        if self.retrier.within(self.budget, self.programs.begun, claim):
            self.admission.take(claim.token, share)
            return
        logger.info("waits until a slot, {:g} CPUs and {} are free", share.cpus, format_size(share.memory))
        self.admission.wait(claim.token, lambda: claim.cancelled or claim.lost.is_set())
        self.programs.leases.confirm(claim.task.id, claim.token)
