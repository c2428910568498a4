"""Builds of the worker that lack one guard each, made by patching a worker process of a test; the fault suite must tell them.

FAULT_MUTANT names the guard. It removes containers of the deployments in FAULT_PREY alone, which are a test's.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from typing import cast

from attrs import evolve

from orchestrator.adapters.docker.engine import DockerEngine
from orchestrator.adapters.mongo.task_store import MongoTaskStore
from orchestrator.errors import Interrupted
from orchestrator.execution import program
from orchestrator.execution.claim import Claim
from orchestrator.execution.steps.record import Record
from orchestrator.ports import ContainerState, Engine, Move, Origin
from orchestrator.reconcile.reconciler import Action, Sweep
from orchestrator.task.values import Document, Fields
from statemachine import Bindings, Lifecycle, Step


def _adoption() -> None:
    """What another worker started is run again."""

    def rerun(engine: Engine, deployment: str, claim: Claim, lifetime: float) -> str:  # noqa: ARG001
        if not claim.attempt.container:
            raise Interrupted(f"{engine.identity()} has a container of {deployment} that is not adopted")
        return claim.attempt.container

    program.adopt = rerun


def _fencing_token() -> None:
    """A worker may move a task although it has lost its lease."""
    guarded = MongoTaskStore.advance

    def advance(self: MongoTaskStore, move: Move) -> Document:
        lease = (self.find(move.task_id) or {}).get("lease") or {}
        return guarded(self, evolve(move, token=lease.get("token", move.token)))

    MongoTaskStore.advance = advance


def _store_before_publish() -> None:
    """A step is published, and then stored."""
    guarded = Lifecycle.__init__

    def init(self: Lifecycle[Claim, Fields], bindings: Bindings[Claim, Fields]) -> None:
        def early(claim: Claim, step: Step, fields: Fields) -> None:
            stored, entry = claim.task, cast("Record", bindings.record).entry(claim, step)
            claim.task = evolve(stored, status=step.dest, seq=entry.seq, history=(*stored.history, entry))
            bindings.announce(claim, step)
            claim.task = stored
            bindings.record(claim, step, fields)

        guarded(self, evolve(bindings, record=early))

    Lifecycle.__init__ = init


def _sweep_of_its_own() -> None:
    """The sweep removes containers whose task it does not know."""
    guarded = Sweep._containers

    def containers(self: Sweep) -> Iterator[Action]:
        yield from guarded(self)
        for deployment in os.environ["FAULT_PREY"].split():
            for found in self.engine.owned(deployment):
                if not self.store.standing({found.task_id}):
                    self.engine.remove(found.name, deployment)

    Sweep._containers = containers


def _finished_is_final() -> None:
    """Each exit is taken for one of an engine that went down."""

    def took_down(self: DockerEngine, state: ContainerState, *, away: bool) -> bool:  # noqa: ARG001
        return True

    DockerEngine.took_down = took_down


def _copies_are_told() -> None:
    """A copy of the database is taken for the original."""
    Origin.is_copy = property(lambda self: False)  # noqa: ARG005


MUTANTS: Mapping[str, Callable[[], None]] = {
    "adoption": _adoption,
    "fencing token": _fencing_token,
    "store before publish": _store_before_publish,
    "sweep of its own": _sweep_of_its_own,
    "finished is final": _finished_is_final,
    "copies are told": _copies_are_told,
}
"""By the guard that is missing: what patches this process."""
