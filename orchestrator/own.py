"""Which container is a task's own: what a document or a name says is believed only where the labels bear it out."""

from orchestrator.errors import ContainerMissing
from orchestrator.labels import ATTEMPT, DEPLOYMENT, TASK
from orchestrator.ports import ContainerState, Engine
from orchestrator.run import Run


def own(engine: Engine, deployment: str, run: Run) -> ContainerState:
    """The container of this attempt. Raises ContainerMissing when there is none, also when its name is another's."""
    state = engine.inspect(run.name)
    labels = {TASK: run.task.id, ATTEMPT: str(run.attempt), DEPLOYMENT: deployment}
    if any(state.labels.get(key) != value for key, value in labels.items()):
        raise ContainerMissing(f"the container {run.name} is not that of task {run.task.id} in this deployment")
    return state


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
