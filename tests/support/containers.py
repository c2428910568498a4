"""What the tests of the container engine share: plans, runs, and a look at what is left behind."""

import uuid
from collections.abc import Iterable
from contextlib import closing

import docker
from attrs import field, frozen

from orchestrator.outcome.usage import PeakCounters
from orchestrator.outcome.verdict import Facts
from orchestrator.ports import Chunk, ContainerPlan, ContainerState, Engine, Stream
from orchestrator.task.labels import DEPLOYMENT, WORKER
from orchestrator.task.limits import Limits
from tests.support import pace
from tests.support.pace import IMAGE, WHERE

LABEL = "orchestrator.test"
OURS = "orchestrator-tests"
PATIENCE = pace.seconds(30.0)


@frozen
class Ran:
    """A container that has exited, and all that it wrote."""

    state: ContainerState
    stdout: bytes
    stderr: bytes


@frozen
class Bench:
    """Makes containers whose names nobody else has, and removes them. ``owners`` has the deployment of each by its name."""

    engine: Engine
    owners: dict[str, str] = field(factory=dict)

    @property
    def names(self) -> list[str]:
        """All that were planned here."""
        return list(self.owners)

    def plan(self, command: str | tuple[str, ...], **changes: object) -> ContainerPlan:
        """A plan with a name of its own; a string is a shell script."""
        name = f"orchestrator-test-{uuid.uuid4().hex[:12]}"
        fields: dict[str, object] = {
            "name": name,
            "image": IMAGE,
            "command": ("sh", "-c", command) if isinstance(command, str) else command,
            "env": {},
            "working_dir": None,
            "user": "65534:65534",
            "network": False,
            "stdin": None,
            "files": {},
            "limits": Limits(),
            "labels": {LABEL: name, WORKER: "one", DEPLOYMENT: OURS},
        }
        plan = ContainerPlan(**(fields | changes))
        self.owners[plan.name] = plan.labels.get(DEPLOYMENT, "")
        return plan

    def start(self, command: str | tuple[str, ...], **changes: object) -> str:
        """Create and start; returns the container's id."""
        container = self.engine.create(self.plan(command, **changes)).id
        self.engine.start(container)
        return container

    def run(self, command: str | tuple[str, ...], **changes: object) -> Ran:
        """Run to the end, attached from before the start."""
        return self.run_plan(self.plan(command, **changes))

    def run_plan(self, plan: ContainerPlan) -> Ran:
        """As ``run``, for a plan at hand."""
        container = self.engine.create(plan).id
        with closing(self.engine.attach(container, plan.stdin)) as chunks:
            self.engine.start(container)
            return Ran(self.engine.wait(container, PATIENCE), **joined(chunks))

    def logged(self, container: str) -> dict[str, bytes]:
        """The whole output from the engine's log."""
        return joined(self.engine.read_log(container))

    def clear(self) -> None:
        """Remove all that was made here."""
        for name, deployment in self.owners.items():
            self.engine.remove(name, deployment)

    def remove(self, plan: ContainerPlan) -> None:
        """Remove what was made of a plan."""
        self.engine.remove(plan.name, self.owners[plan.name])


def out_of_memory(state: ContainerState, limits: Limits) -> bool:
    """Whether the kernel killed one of its processes at the limit, as a verdict tells it; the engine alone may be wrong."""
    tally = PeakCounters()
    tally.add(state.counted)
    return Facts(state, limits, tally=tally).out_of_memory


def joined(chunks: Iterable[Chunk]) -> dict[str, bytes]:
    """The bytes of each stream."""
    parts: dict[Stream, list[bytes]] = {stream: [] for stream in Stream}
    for stream, data in chunks:
        parts[stream].append(data)
    return {stream.value: b"".join(data) for stream, data in parts.items()}


def library() -> closing[docker.DockerClient]:
    """The library's own client, for what the port does not do; a context that closes it."""
    return closing(docker.DockerClient(base_url=WHERE))


def leftovers(name: str) -> list[str]:
    """The containers and volumes that the engine still has of a plan."""
    wanted = {"label": f"{LABEL}={name}"}
    with library() as client:
        containers = client.containers.list(all=True, ignore_removed=True, filters=wanted)
        return [thing.name for thing in [*containers, *client.volumes.list(filters=wanted)]]
