"""The folder /out of a task: a volume of memory, and a container that holds it until it has been read."""

import struct
from collections.abc import Generator, Iterable

from orchestrator.adapters.docker_client import DockerClient
from orchestrator.adapters.docker_errors import translated
from orchestrator.adapters.docker_files import archive
from orchestrator.adapters.docker_owned import make_beside
from orchestrator.adapters.docker_plan import HOLDER, OUT, holder_config, out_name
from orchestrator.cause import Cause
from orchestrator.errors import ContainerMissing, TaskFailure
from orchestrator.ports import ContainerPlan

_CHUNK = 1 << 16
_BASE, _HEADERS = 0x400000, 120
_X86_64 = 62
_AARCH64 = 183
_SLEEPERS = {  # pause(), and ppoll() of nothing, again and again
    "x86_64": (_X86_64, "b8220000000f05ebf7"),
    "aarch64": (_AARCH64, "000080d2010080d2020080d2030080d2280980d2010000d4faffff17"),
}


def hold(client: DockerClient, plan: ContainerPlan, image_volumes: Iterable[str] = ()) -> None:
    """Have the volume and its holder running, where the plan wants them, or go on with what was begun.

    Raises ImageUnavailable, InfrastructureError, and TaskFailure when the engine refuses the plan.
    """
    if not plan.out:
        return
    holder = out_name(plan.name)
    make_beside(client, plan, holder, holder_config(plan, image_volumes))
    if not _holds(client, plan.name):
        with translated(wishes=True):
            client.api.put_archive(holder, "/", archive({HOLDER.lstrip("/"): sleeper(client.api.info()["Architecture"])}))
            client.api.start(holder)


def read(client: DockerClient, name: str) -> Generator[bytes]:
    """The tar of /out of the container of this name, through its holder. Raises as ports.Engine.archive does."""
    if not _holds(client, name):
        raise ContainerMissing(f"what held {OUT} has ended, and it with it")
    path = f"/containers/{out_name(name)}/archive"
    with client.stream("GET", path, silence=client.timeout, params={"path": OUT}) as response:
        yield from response.iter_content(_CHUNK)


def sleeper(architecture: str) -> bytes:
    """A program that sleeps for ever and needs nothing, because an image may have nothing that does. ELF, one segment.

    Raises TaskFailure (invalid) for a machine that it is not written for.
    """
    if architecture not in _SLEEPERS:
        raise TaskFailure(
            Cause.INVALID, f"artifacts: engines on {architecture} cannot keep {OUT}; on {', '.join(_SLEEPERS)} can"
        )
    machine, code = _SLEEPERS[architecture][0], bytes.fromhex(_SLEEPERS[architecture][1])
    size = _HEADERS + len(code)
    head = struct.pack(
        "<4s5B7x2HI3QI6H", b"\x7fELF", 2, 1, 1, 0, 0, 2, machine, 1, _BASE + _HEADERS, 64, 0, 0, 64, 56, 1, 0, 0, 0
    )
    return head + struct.pack("<2I6Q", 1, 5, 0, _BASE, _BASE, size, size, 1 << 16) + code


def _holds(client: DockerClient, name: str) -> bool:
    """Whether the holder runs, as it then has since before the program began: nobody starts it again after that."""
    with translated():
        return bool(client.api.inspect_container(out_name(name))["State"]["Running"])
