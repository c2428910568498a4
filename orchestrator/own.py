"""Which container is a task's own, and whether it may be taken over.

What a document or a name says is believed only where the labels bear it out.
"""

import time

from attrs import evolve

from orchestrator.errors import ContainerMissing, Interrupted
from orchestrator.labels import ATTEMPT, DEPLOYMENT, NONCE, TASK
from orchestrator.ports import ContainerState, Engine, Phase
from orchestrator.request import Request
from orchestrator.run import Run

_SECOND_LOOK = 1.0
SURE_STDIN = 64 << 10
"""Bytes of input that the kernel's pipe takes without a reader."""
_KILLED = 137


def labels(deployment: str, run: Run) -> dict[str, str]:
    """What tells the container of this attempt from all others."""
    return {TASK: run.task.id, ATTEMPT: str(run.attempt), DEPLOYMENT: deployment, NONCE: run.nonce}


def own(engine: Engine, deployment: str, run: Run) -> ContainerState:
    """The container of this attempt. Raises ContainerMissing when there is none, also when its name is another's."""
    state = engine.inspect(run.name)
    if not labels(deployment, run).items() <= state.labels.items():
        raise ContainerMissing(f"the container {run.name} is not that of task {run.task.id} in this deployment")
    return state


def clear_namesake(engine: Engine, deployment: str, run: Run) -> None:
    """Remove what has the name of this attempt's container and is not its own, where it is the deployment's.

    It belongs to a task whose document was deleted, and whose id this one has since. Raises InfrastructureError.
    """
    try:
        own(engine, deployment, run)
    except ContainerMissing:
        engine.remove(run.name, deployment)


def adopt(engine: Engine, deployment: str, run: Run) -> str:
    """The id of the run's container, which is looked for when this process has not made it.

    Whoever wrote the document may have named any container in it, so the engine is never asked for that one. Raises
    ContainerMissing when the attempt has none, or has another than the one that was stored.
    """
    if not run.container:
        state = own(engine, deployment, run)
        if run.task.container is None or run.task.container.id != state.id:
            raise ContainerMissing(f"the container {run.name} is not the one that was started")
        run.container = state.id
    return run.container


def expect_there(engine: Engine, deployment: str, run: Run) -> None:
    """Raise Interrupted when a queued task's container is gone that was about to be started: its program may have run.

    One that is there and was never started may be replaced, and then says no more. Raises InfrastructureError.
    """
    if run.task.starting is None:
        return
    try:
        state = own(engine, deployment, run)
    except ContainerMissing:
        state = None
    if state is None or state.id != run.task.starting:
        raise Interrupted(f"the container {run.name} is gone, and nobody knows whether its program had begun")
    if state.phase is Phase.CREATED:
        run.task = evolve(run.task, starting=None)


def expect_whole_input(engine: Engine, run: Run, request: Request) -> None:
    """Raise Interrupted for an adopted program that runs and may not get all of its input, or was ended because it would not.

    What fits into a pipe was delivered at once; of more, it is stored once the engine has all. A program that exited by itself
    is not run again, whatever it got; that nobody knows how much is noted in the run. Raises ContainerMissing,
    InfrastructureError.
    """
    if len(request.stdin or b"") <= SURE_STDIN:
        return
    fed = run.input
    if fed and fed.whole:
        return
    state = engine.inspect(run.container)
    if state.phase is not Phase.EXITED or (fed and state.exit_code == _KILLED):
        raise Interrupted(f"the worker that was writing the program's stdin {'had to leave' if fed else 'has died'}")
    run.unsure_of_input = True


def look_again(engine: Engine, run: Run) -> None:
    """Raise ContainerMissing when a kill turns out to be the first part of a removal. Raises InfrastructureError, too."""
    time.sleep(_SECOND_LOOK)
    if engine.inspect(run.container).removing:
        raise ContainerMissing(f"{run.name} is being removed")
