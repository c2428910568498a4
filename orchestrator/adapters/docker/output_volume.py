"""The folder /out of a task: a volume of memory, and a pause container that keeps it until it has been read."""

import tarfile
from collections.abc import Generator
from contextlib import suppress

from orchestrator.adapters.docker import pause_program as docker_programs
from orchestrator.adapters.docker.cleanup import make_beside
from orchestrator.adapters.docker.client import DockerClient, Reading
from orchestrator.adapters.docker.container_config import OUT, holder_config, ids, out_name, own_folder
from orchestrator.adapters.docker.container_state import instant
from orchestrator.adapters.docker.engine_facts import EngineFacts
from orchestrator.adapters.docker.engine_restart import process_started
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

    A running pause container has run since before the task's program began: it is never started again after that. Its folder
    is the one that the program had, but for Docker before 23.0.7 and 24.0.6 with live-restore. Such an engine forgets at its
    start what is mounted, and mounts an empty folder to read it.
    """
    state = _state(client, name)
    if not state["Running"]:
        raise ContainerMissing(f"the container that held {OUT} has ended ({_end(state)}), so its files are gone")
    path = f"/containers/{out_name(name)}/archive"
    with client.stream("GET", path, silence=client.timeout, params={"path": OUT}) as response:
        chunks = response.iter_content(_CHUNK)
        begun = b""
        while len(begun) < 2 * tarfile.BLOCKSIZE and (chunk := next(chunks, b"")):
            begun += chunk
        if (folder := _empty_folder(begun)) and _is_another(client, name, folder, state):
            raise ContainerMissing(
                f"the engine was restarted and cannot reach {OUT} any more, so its files are gone; Docker 24.0.6 and later can"
            )
        yield begun
        yield from chunks


def _empty_folder(begun: bytes) -> tarfile.TarInfo | None:
    """The only entry of a tar that begins so; None if there are more, or it is no folder."""
    first, second = begun[: tarfile.BLOCKSIZE], begun[tarfile.BLOCKSIZE : 2 * tarfile.BLOCKSIZE]
    if second.strip(b"\0"):
        return None
    with suppress(tarfile.HeaderError):  # the reader of the archive refuses it
        entry = tarfile.TarInfo.frombuf(first, tarfile.ENCODING, "surrogateescape")
        return entry if entry.isdir() else None
    return None


def _is_another(client: DockerClient, name: str, folder: tarfile.TarInfo, pause: Reading) -> bool:
    """Whether this empty folder was mounted after the end of the program: it has not changed since then.

    The time of a folder in an archive has whole seconds.
    """
    if not client.ask().keeps_programs:
        return False
    engine, held = process_started(client), instant(pause["StartedAt"])
    if engine and held and engine <= held:
        return False
    with suppress(ContainerMissing), translated():
        ended = instant(client.api.inspect_container(name)["State"]["FinishedAt"])
        return ended is None or folder.mtime >= int(ended.timestamp())
    return True


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
