"""What runs containers."""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Protocol

from attrs import frozen

from orchestrator.ports.container import (
    Chunk,
    ContainerPlan,
    ContainerProbe,
    ContainerState,
    Created,
    EngineEvents,
    Owned,
    Sample,
)


class PullPolicy(StrEnum):
    """When to ask the registry for an image."""

    MISSING = "missing"
    ALWAYS = "always"
    NEVER = "never"


@frozen
class Host:
    """The machine that an engine runs containers on: CPUs, and memory in bytes."""

    cpus: float
    memory: int


class Engine(Protocol):
    """A container engine. We name containers, so that making one can be repeated after a lost reply; else ids are passed."""

    def identity(self) -> str:
        """An id of the engine that stays over its restarts."""

    def host(self) -> Host:
        """What its machine has."""

    def pull(self, image: str, policy: PullPolicy, go_on: Callable[[], None] = lambda: None) -> None:
        """Make sure the image is there. Raises ImageUnavailable when it cannot be had; hiccups are InfrastructureError.

        ``go_on`` is called as the pull makes progress; what it raises ends it.
        """

    def unwanted_images(self) -> Sequence[str]:
        """The ids of images that a worker has pulled and no task has used for IMAGE_TTL; none unless that is set.

        None that a container has, and none to which somebody else has given a tag.
        """

    def remove_image(self, image: str) -> None:
        """Remove the image of this id if a worker has pulled it; nothing when it is in use by now, or gone."""

    def keep_warm(self, wanted: Sequence[tuple[ContainerPlan, int]]) -> None:
        """Keep so many containers of these plans started, each waiting for one program; none of other plans. Returns at once.

        With none wanted, those that wait are removed before this returns. The plans have no command and a name that nobody
        uses. ``create`` takes one that waits where it equals what the plan asks for, apart from the program.
        """

    def create(self, plan: ContainerPlan) -> Created:
        """Make the container with its files, not started.

        When one of this name and labels runs or has exited, that one is adopted; one that was never started is replaced, so
        another worker finds it gone. One with other labels is left alone: InfrastructureError.
        Raises ImageUnavailable when the image is gone and TaskFailure (invalid) when the engine refuses the plan, or needs more
        memory than the plan's limit before it can run any program; then nothing is made. Raises EngineUnfit when the engine
        lacks what each container of its kind needs.
        """

    def attach(self, container: str, stdin: bytes | None, written: Callable[[], None] = lambda: None) -> Iterator[Chunk]:
        """The output of a container that is not started yet, byte-exact, until the program ends or the connection is cut.

        Attached when this returns, so the program is seen from its first byte; ``stdin`` is written once it runs, then closed.
        ``written`` is called, perhaps in another thread and before this returns, once all of it is with the engine, so that
        nobody needs to stay for it. It may not be called when the program ends before.
        A cut raises InfrastructureError, so an end is the program's. At the end raises OutputLost when the engine may have
        dropped the end of it. Stop reading and the program
        blocks. Raises ContainerMissing.
        """

    def read_log(self, container: str) -> Iterator[Chunk]:
        """The output of a started container from the engine's own log, from the first byte until the program ends.

        A cut raises InfrastructureError. At the end raises OutputLost when the log may not have all of it, for the engine keeps
        only so much, and waits only so long for the end. Nobody blocks when this is read slowly. Raises ContainerMissing.
        """

    def start(self, container: str) -> ContainerProbe:
        """Start a container that was never started; nothing on one that runs or has exited. Raises ContainerMissing.

        Raises TaskFailure (invalid) when the engine refuses it, or fails because the memory was too little for a start, and
        EngineUnfit as ``create`` does.
        """

    def probe(self, container: str) -> ContainerProbe:
        """That of one that was started by another. Raises ContainerMissing."""

    def inspect(self, container: str) -> ContainerState:
        """The container of this id or name as it is now. Raises ContainerMissing."""

    def wait(self, container: str, timeout: float, give_up: Callable[[], bool] = lambda: False) -> ContainerState:
        """Block until the container has exited or ``timeout`` has passed, then inspect it. Raises ContainerMissing.

        It also ends within seconds of ``give_up`` saying so.
        """

    def stop(self, container: str, grace: float) -> bool:
        """TERM, after ``grace`` seconds KILL; returns when it does not run. Grace 0 kills at once. Nothing when it is gone.

        Whether a signal reached the program, or may have: False when it had ended before.
        """

    def noted(self, container: str) -> EngineEvents:
        """What happened to it, as far as the engine remembers."""

    def took_down(self, state: ContainerState, *, away: bool) -> bool:
        """Whether the engine or its machine went down, and took the program of this exited container with it.

        ``away`` says that the caller watched the program and found the engine away. An engine that is just going down does not
        answer. A program that began under the engine that answers was never taken down, and one whose exit with 0 an earlier
        engine saw has finished. Of one that exited otherwise under an earlier engine, the shutdown explains KILL and TERM, and
        any exit code where the caller found the engine away.
        """

    def stats(self, container: str) -> Iterator[Sample]:
        """A sample about each second while the program runs; ends when it does, or early when the engine hiccups."""

    def archive(self, name: str) -> Generator[bytes]:
        """The folder /out of the exited container of this name, made with ``out``, as a tar of ``out`` and what is below it.

        The program made what is in it: an enemy's archive. It may be closed before its end. Raises ContainerMissing when the
        folder is gone, which it is once the engine was restarted; a cut raises InfrastructureError.
        """

    def remove(self, name: str, deployment: str, nonce: str | None = None) -> None:
        """Remove the deployment's container of this name, running or not, and its volumes; nothing when they are gone.

        What another deployment has under the name is left alone, and with ``nonce`` what another task has.
        """

    def owned(self, deployment: str) -> Sequence[Owned]:
        """All containers of a deployment, whatever their phase, and volumes that have none."""

    def deployments(self) -> Mapping[str, int]:
        """How many containers each deployment has here, whatever their phase, by its id."""

    def overdue(self) -> Sequence[str]:
        """The ids of tasks' containers, of any deployment, that have run for longer than their label LIFETIME allows."""

    def start_id(self) -> str:
        """An id that the engine takes when it comes up, so that no two engines ever have the same; empty when not known."""
