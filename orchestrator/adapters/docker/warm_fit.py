"""Whether a task can run in a container that was started before anybody knew the task. Pure.

All that a container gets at its creation has to be equal: the container's configuration as a task of its own would have it.
"""

from collections.abc import Mapping
from typing import Any

from orchestrator.adapters.docker.container_config import TMP, container_config, working_folder
from orchestrator.adapters.docker.handover import Handover, begin_line
from orchestrator.adapters.docker.image import Image
from orchestrator.adapters.docker.warm_program import TARGET
from orchestrator.ports import ContainerPlan, Warmth
from orchestrator.task.labels import DEPLOYMENT, LIFETIME, WARM

_TOLD = ("Cmd", "Entrypoint", "Env", "Labels", "WorkingDir", "AttachStdin", "OpenStdin", "StdinOnce")
"""The fields of a configuration that the program is told instead, or that do not matter to it."""
_FOLDERS = frozenset({"/", TMP})
"""Working folders that every container has."""
ENDLESS = "warm"
"""The label LIFETIME of a container that waits: no time is allowed yet."""


def waiting_config(plan: ContainerPlan, image: Image, group: str, names: str, program: Mapping[str, object]) -> dict[str, Any]:
    """The body of the create call: that of a task with the plan's limits, but for its program, its stdin and one mount."""
    config: dict[str, Any] = dict(container_config(plan, image, group, "", names))
    host: Mapping[str, Any] = config["HostConfig"]
    labels = {**plan.labels, WARM: plan.name, LIFETIME: ENDLESS}
    told = {"Entrypoint": [TARGET], "Cmd": [], "Labels": labels, **dict.fromkeys(_TOLD[-3:], True)}
    return {**config, **told, "HostConfig": {**host, "Mounts": [*host["Mounts"], program]}}


def misfit(plan: ContainerPlan, kept: ContainerPlan, image: Image) -> Warmth | None:
    """Why the plan cannot have a container of the plan ``kept``, which has the same image; None if it can."""
    folder = working_folder(plan, image)
    needs = {
        Warmth.IMAGE: plan.labels.get(DEPLOYMENT) != kept.labels.get(DEPLOYMENT),
        Warmth.FILES: bool(plan.files),
        Warmth.ARTIFACTS: plan.out,
        Warmth.NETWORK: plan.network,
        Warmth.INIT: not plan.init,
        Warmth.USER: _differs(plan, kept, image, "User"),
        Warmth.FOLDER: folder != working_folder(kept, image) and folder not in _FOLDERS,
        Warmth.LIMITS: _shape(plan, image) != _shape(kept, image),
        Warmth.PROGRAM: not handover(plan, kept, image).fits,
    }
    return next((why for why, there in needs.items() if there), None)


def handover(plan: ContainerPlan, kept: ContainerPlan, image: Image) -> Handover:
    """The plan's program, as the engine would start it."""
    folder = working_folder(plan, image)
    return Handover(
        arguments=_arguments(plan, image),
        variables=plan.env,
        folder="" if folder == working_folder(kept, image) else folder,
        keeps_stdin=plan.stdin is not None,
        line=begin_line({name: value for name, value in plan.labels.items() if value}),
    )


def _arguments(plan: ContainerPlan, image: Image) -> tuple[str, ...]:
    """An entrypoint of the plan also takes the place of the image's command, unless it is empty."""
    entrypoint = image.entrypoint if plan.entrypoint is None else plan.entrypoint
    own = image.command if not plan.entrypoint else ()
    return (*entrypoint, *(own if plan.command is None else plan.command))


def _differs(plan: ContainerPlan, kept: ContainerPlan, image: Image, field: str) -> bool:
    return container_config(plan, image)[field] != container_config(kept, image)[field]


def _shape(plan: ContainerPlan, image: Image) -> Mapping[str, object]:
    return {name: value for name, value in container_config(plan, image).items() if name not in _TOLD}
