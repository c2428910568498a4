"""The least memory with which an engine starts a container reliably.

An engine accepts less memory than its runtime needs before the program begins. It then fails to start some of the containers,
with different errors. The need depends on engine, runtime and kernel. So it is measured, once in a process for each of them.
"""

import threading
from collections.abc import Iterable, Sequence
from contextlib import suppress
from secrets import token_hex

from attrs import frozen

from orchestrator.adapters.docker import cleanup as docker_owned
from orchestrator.adapters.docker import pause_program as docker_programs
from orchestrator.adapters.docker.client import DockerClient, Reading
from orchestrator.adapters.docker.container_config import STARTABLE, bare, container_config, probe_config
from orchestrator.adapters.docker.engine_facts import EngineFacts
from orchestrator.adapters.docker.errors import SERVICE, Refused, translated
from orchestrator.adapters.docker.image import UNKNOWN, Image
from orchestrator.adapters.docker.pause_program import QUIT
from orchestrator.cause import Cause
from orchestrator.errors import InfrastructureError, TaskFailure
from orchestrator.log import logger
from orchestrator.ports import ContainerPlan
from orchestrator.task.labels import DEPLOYMENT
from orchestrator.task.units import format_size

SIZES = tuple(mebibytes << 20 for mebibytes in (6, 8, 10, 12, 16, 20, 24, 32))
_STARTS = 10
"""Starts in a row that show that a size is enough. A size that fails at every fifth start passes in one of nine measurements.

Such a size is found when a task has the failure; see ``MemoryFloor.blame``.
"""


class MemoryFloor:
    """The memory that one engine needs, for each runtime. Threads that ask at the same time wait for one measurement."""

    def __init__(self, client: DockerClient) -> None:
        self._client = client
        self._least: dict[Sequence[str], int] = {}
        self._doubted: set[tuple[Sequence[str], int]] = set()
        self._measuring = threading.Lock()

    @staticmethod
    def concerns(plan: ContainerPlan) -> bool:
        """Whether the plan's memory is so little that the engine may need more."""
        return plan.limits.memory < STARTABLE

    def check(self, plan: ContainerPlan, image: Image = UNKNOWN) -> None:
        """Raise TaskFailure (invalid) if the engine needs more memory than the plan's limit to start a container.

        The first such plan starts the measurement, with containers of its image and its labels. If they do not start even with
        STARTABLE, the need is unknown and no plan is refused. Raises ImageUnavailable and InfrastructureError.
        """
        if not self.concerns(plan):
            return
        with self._measuring:
            now = self._client.ask()  # another engine may answer by now
            engine = (*now.kind, plan.runtime or "")
            probe = self._probe(now, plan.name, container_config(bare(plan), image))
            if probe and engine not in self._least and (least := probe.least(SIZES)):
                self._least[engine] = least
                logger.info("this engine needs {} of memory to start a container", format_size(least))
            _expect_enough(plan.limits.memory, self._least.get(engine, 0))

    def blame(self, reading: Reading) -> None:
        """Find out whether a container that the engine failed to start had too little memory.

        ``reading`` is the answer to inspect. If an equal container with more memory starts, the fields of the task are not the
        cause, and the size is measured again. Raises TaskFailure (invalid) if this size is not enough. Raises
        InfrastructureError if it is enough, so that the start is tried again. A size that fails a second time is not enough,
        even if it starts in between. Returns if memory is not the cause.
        """
        host = reading.get("HostConfig") or {}
        memory = host.get("Memory") or STARTABLE
        if memory >= STARTABLE:
            return
        name = reading["Name"].lstrip("/")
        with self._measuring:
            now = self._client.ask()
            probe = self._probe(now, name, {**reading["Config"], "HostConfig": host})
            if not probe or not probe.starts(STARTABLE):
                return
            engine = (*now.kind, host.get("Runtime") or "")
            again = [] if (engine, memory) in self._doubted else [memory]
            least = probe.least([*again, *(size for size in SIZES if size > memory)]) or 0
            self._doubted.add((engine, memory))
            if least > memory:
                self._least[engine] = max(self._least.get(engine, 0), least)
            _expect_enough(memory, least)
        raise InfrastructureError(SERVICE, f"container {name} did not start, though others with as much memory do")

    def _probe(self, now: EngineFacts, name: str, made: Reading) -> "Probe | None":
        """None on a machine for which there is no program: nothing can be measured there."""
        return Probe(self._client, name, made, QUIT.elf(now.architecture)) if QUIT.runs_on(now.architecture) else None


@frozen
class Probe:
    """Containers as ``made``, named after ``name``, whose program is the ``executable``, which ends at once."""

    client: DockerClient
    name: str
    made: Reading
    executable: bytes

    def least(self, sizes: Iterable[int]) -> int | None:
        """The first size with which they start reliably. None if one does not start even with STARTABLE.

        Then something else is wrong, with the engine or the image, and a failure says nothing about memory.
        """
        for size in sizes:
            if all(self.starts(size) for _ in range(_STARTS)):
                return size
            if not self.starts(STARTABLE):
                break
        return None

    def starts(self, memory: int) -> bool:
        """Whether a container with this memory starts and runs to its end. It is removed again. Raises InfrastructureError."""
        name = f"{self.name}-floor-{token_hex(4)}"
        try:
            with translated():
                config = probe_config(self.made, memory)
                self.client.api.create_container_from_config(config, name)  # type: ignore[no-untyped-call]
            docker_programs.put(self.client, name, self.executable)
            return self._runs(name)
        except Refused:
            return False
        finally:
            docker_owned.remove_container(self.client, name, (self.made["Labels"] or {}).get(DEPLOYMENT, ""))

    def _runs(self, name: str) -> bool:
        with translated():
            self.client.api.start(name)
        with suppress(InfrastructureError), translated():
            self.client.api.wait(name, timeout=self.client.timeout)  # type: ignore[arg-type]
        with translated():
            state = self.client.api.inspect_container(name)["State"]
        return state["Status"] == "exited" and state["ExitCode"] == 0 and not state["OOMKilled"]


def _expect_enough(memory: int, least: int) -> None:
    if memory < least:
        raise TaskFailure(
            Cause.INVALID,
            f"limits.memory: {format_size(memory)} is below {format_size(least)}, the least with which this engine can reliably"
            " start a container",
        )
