"""RELEASE: when an attempt has ended, remove what it has on the engine and in the spool.

At the end of the task it also notes that nothing is left to do; without the note each sweep would look again.
"""

from attrs import frozen

from orchestrator.errors import InfrastructureError
from orchestrator.execution.claim import Claim
from orchestrator.execution.deployment import Deployment
from orchestrator.execution.naming import container_name, spool_folder
from orchestrator.log import logger
from orchestrator.output.spool import discard
from orchestrator.ports import Engine, ObjectStore, TaskStore
from orchestrator.task.request import is_id
from statemachine import INITIAL


@frozen
class Release:
    """It never raises: what is left behind is found again by its label."""

    engine: Engine
    store: TaskStore
    objects: ObjectStore
    deployment: Deployment

    def __call__(self, claim: Claim) -> None:
        """After a retry the claim goes on with its next attempt."""
        left_nothing = not claim.lost.is_set() and self._remove(claim)
        if claim.state is INITIAL:
            claim.next_attempt()
        elif left_nothing:
            self.settle(claim)

    def settle(self, claim: Claim) -> None:
        """Note that nothing is left to do for a task that has ended; when something is, the sweep finds it without the note."""
        try:
            if claim.published == claim.task.seq:
                self.store.settle(claim.task.id, claim.task.nonce, claim.published)
        except InfrastructureError as error:
            logger.warning("the end is not noted as settled: {}", error)

    def _remove(self, claim: Claim) -> bool:
        """False when something is left behind. A log that could not be stored stays in the spool for its rescue."""
        if not is_id(claim.task.id):
            return True
        container_gone = self._remove_container(claim)
        parts_gone = self._abort(claim)
        return container_gone and parts_gone

    def _remove_container(self, claim: Claim) -> bool:
        """And the spool. False when the container is left behind."""
        name = container_name(claim.task.id, claim.task.history[-1].attempt)
        folder = spool_folder(self.deployment.spool_dir, name, claim.nonce)
        if claim.attempt.capture:
            claim.attempt.capture.finish(0)
        if claim.attempt.spool:
            claim.attempt.spool.close()  # a file that is still open keeps its room on the disk
        try:
            self.engine.remove(name, self.deployment.id, claim.nonce)
        except InfrastructureError as error:
            logger.warning("container {} is left behind: {}", name, error)
            return False
        if claim.task.is_stranded:
            logger.warning("its log is left in {}", folder)
        else:
            discard(folder)
        return True

    def _abort(self, claim: Claim) -> bool:
        """Drop output that was sent ahead, by any holder in any attempt, and is in no stored object. False if some is left.

        The end of each attempt tries again what an earlier one has left.
        """
        ahead = claim.attempt.ahead
        if ahead:
            ahead.stop()
        try:
            for key in sorted(claim.parts):
                self.objects.abort_parts(key)
                claim.parts.discard(key)
            if ahead and ahead.strays:
                self.objects.remove(ahead.strays)
        except InfrastructureError as error:
            logger.warning("parts of its output are left behind: {}", error)
            return False
        return True
