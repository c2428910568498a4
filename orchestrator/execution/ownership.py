"""Which container is a task's own, and whether it may be taken over.

What a document or a name says is believed only where the labels bear it out.
"""

import time
from datetime import UTC, datetime

from orchestrator.errors import ContainerMissing, Elsewhere, Interrupted
from orchestrator.execution.claim import Claim
from orchestrator.ports import ContainerState, Engine, Phase
from orchestrator.task.labels import ATTEMPT, DEPLOYMENT, NONCE, TASK, WARM
from orchestrator.task.request import Request

_SECOND_LOOK = 1.0
SURE_STDIN = 64 << 10
"""Bytes of input that the kernel's pipe takes without a reader."""
_KILLED = 137
NOTHING = ""
"""What is stored as about to be started when it is known that nothing was."""
_CLOCKS = 60.0
"""Seconds by which the clocks of two machines may differ, and by which a sweep may be late."""


def labels(deployment: str, claim: Claim) -> dict[str, str]:
    """What tells the container of this attempt from all others."""
    return {TASK: claim.task.id, ATTEMPT: str(claim.number), DEPLOYMENT: deployment, NONCE: claim.nonce}


def own(engine: Engine, deployment: str, claim: Claim) -> ContainerState:
    """The container of this attempt. Raises ContainerMissing when there is none, also when its name is another's."""
    state = engine.inspect(claim.name)
    ours = labels(deployment, claim)
    if _waited_for(state, deployment, claim):
        return state
    if not ours.items() <= state.labels.items():
        other = state.labels.get(DEPLOYMENT, "")
        if claim.nonce and other and {**ours, DEPLOYMENT: other}.items() <= state.labels.items():
            raise Elsewhere(
                f"the container {claim.name} is the task's, but of deployment {other}, and this one is {deployment}: it is "
                f"left alone. If the database of {other} is lost, run `orchestrator deployment take {other}` to go on with "
                f"its containers, or `orchestrator deployment remove {other}` to remove them"
            )
        raise ContainerMissing(f"the container {claim.name} is not that of task {claim.task.id} in this deployment")
    return state


def _waited_for(state: ContainerState, deployment: str, claim: Claim) -> bool:
    """Whether it waited for this program, and its log does not tell the task, or not any more: then the document has its id.

    A container got the name of this attempt by a worker, and a worker stored its id. Each by itself proves nothing.
    """
    stored = {claim.task.starting, claim.task.container and claim.task.container.id}
    known = state.labels
    return WARM in known and TASK not in known and known.get(DEPLOYMENT) == deployment and state.id in stored


def clear_namesake(engine: Engine, deployment: str, claim: Claim) -> None:
    """Remove what has the name of this attempt's container and is not its own, where it is the deployment's.

    It belongs to a task whose document was deleted, and whose id this one has since. Raises InfrastructureError.
    """
    try:
        own(engine, deployment, claim)
    except ContainerMissing:
        engine.remove(claim.name, deployment)


def adopt(engine: Engine, deployment: str, claim: Claim, lifetime: float) -> str:
    """The id of the attempt's container, which is looked for when this process has not made it.

    A foreign hand may have named any container in the document, so the engine is never asked for that one. Raises
    ContainerMissing when the attempt has none, or has another than the one that was stored. Raises Elsewhere when it may be on
    another machine, where it may run for ``lifetime`` seconds.
    """
    if not claim.attempt.container:
        try:
            state = own(engine, deployment, claim)
        except ContainerMissing:
            expect_from_here(engine, claim, lifetime)
            raise
        if claim.task.container is None or claim.task.container.id != state.id:
            raise ContainerMissing(f"the container {claim.name} is not the one that was started")
        claim.attempt.container = state.id
    return claim.attempt.container


def expect_from_here(engine: Engine, claim: Claim, lifetime: float) -> None:
    """Raise Elsewhere when the container that is missing here may live on another machine, whose engine has the same id.

    The engine that made it came up with another start id. This one may have been restarted since and the container removed; so
    nobody may call it lost as long as its program may claim. A task of another engine id is here because that one was given up.
    """
    container, began = claim.task.container, claim.task.started_at
    if container is None or not container.engine_start or began is None:
        return
    here = engine.start_id() if container.engine == engine.identity() else ""
    if here in {"", container.engine_start}:
        return
    left = lifetime + _CLOCKS - (datetime.now(UTC) + claim.lease.ahead - began).total_seconds()
    if left > 0:
        raise Elsewhere(
            f"the container {claim.name} was made by an engine with the id {container.engine} that was started as "
            f"{container.engine_start[:12]}, and the one here was started as {here[:12]}: if two machines have engines "
            f"of one id, give one of them its own (how-to, Deploy workers); the task is left alone for {left:.0f} s more"
        )


def expect_there(engine: Engine, deployment: str, claim: Claim) -> None:
    """Raise Interrupted when a queued task's container is gone that was about to be started: its program may have run.

    One that is there and was never started may be replaced. That is stored before, because the replaced one is gone then, too.
    Raises InfrastructureError.
    """
    if not claim.task.starting:
        return
    try:
        state = own(engine, deployment, claim)
    except ContainerMissing:
        state = None
    if state is None or state.id != claim.task.starting or (state.phase is not Phase.CREATED and TASK not in state.labels):
        raise Interrupted(f"the container {claim.name} is gone, and nobody knows whether its program had begun")
    if state.phase is Phase.CREATED:
        claim.leases.begin(claim.task.id, claim.token, NOTHING)
        claim.note_starting(None)


def expect_whole_input(engine: Engine, claim: Claim, request: Request) -> None:
    """Raise Interrupted for an adopted program that runs and may not get all of its input, or was ended because it would not.

    What fits into a pipe was delivered at once; of more, it is stored once the engine has all. A program that exited by itself
    is not run again, whatever it got; that nobody knows how much is noted in the attempt. Raises ContainerMissing,
    InfrastructureError.
    """
    if len(request.stdin or b"") <= SURE_STDIN:
        return
    fed = claim.input
    if fed and fed.whole:
        return
    state = engine.inspect(claim.attempt.container)
    if state.phase is not Phase.EXITED or (fed and state.exit_code == _KILLED):
        raise Interrupted(f"the worker that was writing the program's stdin {'had to leave' if fed else 'has died'}")
    claim.attempt.unsure_of_input = True


def look_again(engine: Engine, claim: Claim) -> None:
    """Raise ContainerMissing when a kill turns out to be the first part of a removal. Raises InfrastructureError, too."""
    time.sleep(_SECOND_LOOK)
    if engine.inspect(claim.attempt.container).removing:
        raise ContainerMissing(f"{claim.name} is being removed")
