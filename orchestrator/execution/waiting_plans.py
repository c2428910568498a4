"""What the containers are like that WARM asks for: as that of a task which names nothing but its image."""

from collections.abc import Sequence

from orchestrator.ports import ContainerPlan
from orchestrator.settings.settings import Settings
from orchestrator.task.labels import DEPLOYMENT, ENGINE, WORKER


def waiting_plans(settings: Settings, deployment: str, engine: str) -> Sequence[tuple[ContainerPlan, int]]:
    """The plan for each image, and the number of containers. The engine names them."""
    labels = {DEPLOYMENT: deployment, ENGINE: engine, WORKER: settings.name}
    return [(_plan(settings, image, labels), count) for image, count in settings.warm]


def _plan(settings: Settings, image: str, labels: dict[str, str]) -> ContainerPlan:
    return ContainerPlan(
        name="",
        image=image,
        command=None,
        env={},
        working_dir=None,
        user=settings.default_user,
        network=False,
        stdin=None,
        files={},
        limits=settings.defaults,
        labels=labels,
        runtime=settings.runtime or None,
    )
