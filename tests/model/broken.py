"""Workers that lack one guard each; the model must find out."""

from attrs import evolve, frozen

from orchestrator.execution.claim import Claim
from orchestrator.execution.steps.announce import Announce
from orchestrator.execution.steps.release import Release
from orchestrator.ports import ContainerPlan, Created, Move
from orchestrator.reconcile.reconciler import Action, Kind, Sweep
from orchestrator.task.labels import DEPLOYMENT
from orchestrator.task.values import Document
from orchestrator.testing.engine import MemoryEngine
from orchestrator.testing.task_store import MemoryTaskStore
from statemachine import Step
from tests.model.parts import PacedLeases, Parts
from tests.support.baton import How


class AnyToken(MemoryTaskStore):
    """A store that lets every earlier holder move the task."""

    def advance(self, move: Move) -> Document:
        """As the present holder."""
        lease = (self.find(move.task_id) or {}).get("lease") or {}
        return super().advance(evolve(move, token=lease.get("token", move.token)))


class AnySeq(MemoryTaskStore):
    """A store that compares the token, but neither status nor seq."""

    @staticmethod
    def _is_expected(document: Document, move: Move) -> bool:
        return (document.get("lease") or {}).get("token") == move.token


class DeafToCancel(MemoryTaskStore):
    """A store that takes no notice of ``unless_cancelled``."""

    def advance(self, move: Move) -> Document:
        """Unconditionally."""
        return super().advance(evolve(move, unless_cancelled=False))


class AlwaysNew(MemoryEngine):
    """An engine on which a container of the same name is never adopted."""

    def create(self, plan: ContainerPlan) -> Created:
        """Make another one."""
        self.remove(plan.name, plan.labels[DEPLOYMENT])
        return super().create(plan)


@frozen
class SettlesUnpublished(Release):
    """A release that takes an end for settled although not all of it was published."""

    def settle(self, claim: Claim) -> None:
        """Whatever was published."""
        self.store.settle(claim.task.id, claim.task.nonce, claim.task.seq)


@frozen
class PublishesNothingTwice(Announce):
    """An announcement that forgets what it could not publish."""

    def __call__(self, claim: Claim, step: Step) -> None:
        """And goes on behind it."""
        Announce.__call__(self, claim, step)
        claim.published = claim.task.seq


@frozen
class NeverAdopts(Sweep):
    """A sweep that leaves tasks to workers that may be dead."""

    def _is_done(self, action: Action) -> bool:
        return action.kind is not Kind.ADOPT and super()._is_done(action)


@frozen
class NeverEnqueues(Sweep):
    """A sweep that trusts the queue."""

    def _is_done(self, action: Action) -> bool:
        return action.kind is not Kind.ENQUEUE and super()._is_done(action)


@frozen
class NeverSettles(Sweep):
    """A sweep that leaves ends to workers that may be dead."""

    def _is_done(self, action: Action) -> bool:
        return action.kind is not Kind.SETTLE and super()._is_done(action)


@frozen
class NeverRemoves(Sweep):
    """A sweep that leaves containers alone."""

    def _is_done(self, action: Action) -> bool:
        return action.kind is not Kind.REMOVE and super()._is_done(action)


class NeverConfirms(PacedLeases):
    """Leases that a worker does not look at before it starts a container."""

    def begin(self, task_id: str, token: str, container: str) -> None:
        """Take it for granted."""


class NotesNoStart(PacedLeases):
    """Leases with which a worker does not store which container it is about to start."""

    def begin(self, task_id: str, token: str, container: str) -> None:  # noqa: ARG002
        """It only looks at its lease."""
        self.confirm(task_id, token)


DEATHS = (How.DIE_BEFORE, How.DIE_AFTER)
BROKEN = {
    "fencing token": Parts(store=AnyToken, calls=("advance",), faults=(How.MAKE,)),
    "status and seq": Parts(store=AnySeq, calls=("advance",), faults=(How.LOSE_REPLY,)),
    "unless cancelled": Parts(store=DeafToCancel, calls=("wait",), repeats=1, faults=(How.MAKE,)),
    "adopt by name": Parts(engine=AlwaysNew, calls=("start", "advance")),
    "outbox settle": Parts(release=SettlesUnpublished, calls=("publish",), faults=(How.FAIL,)),
    "outbox mark": Parts(announce=PublishesNothingTwice, calls=("publish",), faults=(How.FAIL,)),
    "sweep adopts": Parts(sweep=NeverAdopts),
    "sweep enqueues": Parts(sweep=NeverEnqueues),
    "sweep settles": Parts(sweep=NeverSettles, calls=("publish", "remove", "settle"), faults=DEATHS),
    "sweep removes": Parts(sweep=NeverRemoves),
    "confirm before start": Parts(leases=NeverConfirms, calls=("pull", "create", "start")),
    "note before start": Parts(leases=NotesNoStart, calls=("start",), repeats=1, faults=(How.DIE_AFTER,)),
}
"""By the guard that is missing; the calls and faults are those that bring it out soon."""
