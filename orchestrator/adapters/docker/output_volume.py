"""The folder /out of a task: a volume of memory, and a pause container that keeps it until it has been read."""

from collections.abc import Generator

from orchestrator.adapters.docker import pause_program as docker_programs
from orchestrator.adapters.docker.cleanup import make_beside
from orchestrator.adapters.docker.client import DockerClient, Reading
from orchestrator.adapters.docker.container_config import OUT, holder_config, ids, out_name, own_folder
from orchestrator.adapters.docker.engine_facts import EngineFacts
from orchestrator.adapters.docker.errors import SERVICE, translated
from orchestrator.adapters.docker.image import UNKNOWN, Image
from orchestrator.adapters.docker.input_volume import folders
from orchestrator.adapters.docker.pause_program import PAUSE
from orchestrator.cause import Cause
from orchestrator.errors import ContainerMissing, InfrastructureError, TaskFailure
from orchestrator.ports import ContainerPlan

_CHUNK = 1 << 16
_PLAIN = {"runc", "crun"}
_NEVER_RAN = "created"


def hold(client: DockerClient, plan: ContainerPlan, image: Image = UNKNOWN) -> None:
    """Make the volume and start its pause container if the plan needs them, or complete an unfinished start.

    Raises ImageUnavailable, InfrastructureError, and TaskFailure if the engine refuses a field of the plan. If the pause
    container does not start, this is InfrastructureError, because its limits and its program are not the task's. Only the
    folders of the image's volumes are the task's, and no engine can mount a volume over a file.
    """
    if not plan.out:
        return
    pause = out_name(plan.name)
    make_beside(client, plan, pause, holder_config(plan, image, pause_runtime(client.facts)))
    if not _state(client, plan.name)["Running"]:
        docker_programs.put(client, pause, sleeper(client.facts.architecture))
        with translated(wishes=bool(image.volumes)):
            client.api.start(pause)
        _expect_running(_state(client, plan.name))
    if folder := own_folder(plan, image):
        with translated():
            client.api.put_archive(pause, OUT, folders(folder, *ids(plan)))


def read(client: DockerClient, name: str) -> Generator[bytes]:
    """The tar of /out of the container of this name, through its pause container. Raises the same as ports.Engine.archive.

    A running pause container has run since before the task's program began: it is never started again after that.
    """
    state = _state(client, name)
    if not state["Running"]:
        raise ContainerMissing(f"the container that held {OUT} has ended ({_end(state)}), so its files are gone")
    path = f"/containers/{out_name(name)}/archive"
    with client.stream("GET", path, silence=client.timeout, params={"path": OUT}) as response:
        yield from response.iter_content(_CHUNK)


def pause_runtime(facts: EngineFacts) -> str | None:
    """Runc if the default is a sandbox such as gVisor, whose own processes do not fit into the pause container.

    The pause program is this package's, so it needs no sandbox.
    """
    default = facts.default_runtime.rpartition("/")[2]  # Podman gives a path
    return "runc" if "runc" in facts.runtimes and default not in _PLAIN else None


def sleeper(architecture: str) -> bytes:
    """The program of the pause container. Raises TaskFailure (invalid) for a machine without one."""
    if not PAUSE.runs_on(architecture):
        raise TaskFailure(
            Cause.INVALID, f"artifacts: engines on {architecture} cannot keep {OUT}; on {', '.join(PAUSE.code)} can"
        )
    return PAUSE.elf(architecture)


def _state(client: DockerClient, name: str) -> Reading:
    with translated():
        state: Reading = client.api.inspect_container(out_name(name))["State"]
    return state


def _expect_running(state: Reading) -> None:
    """Raise InfrastructureError if it ended at once, so that the task's program never begins without its folder."""
    if not state["Running"]:
        raise InfrastructureError(SERVICE, f"the container that holds {OUT} ended as it started ({_end(state)})")


def _end(state: Reading) -> str:
    """The reason why a container does not run, in the engine's words and figures."""
    if state["Status"] == _NEVER_RAN:
        return state["Error"] or "it never ran"
    told = [f"exit code {state['ExitCode']}", "killed for memory" if state["OOMKilled"] else "", state["Error"]]
    return ", ".join(filter(None, told))
