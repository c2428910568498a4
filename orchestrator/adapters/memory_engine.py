"""A container engine in memory: scripted programs on a clock that only waiting moves, so a run takes no real time."""

import threading
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from math import inf

from attrs import define, evolve, field, frozen

from orchestrator.errors import ContainerMissing, ImageUnavailable
from orchestrator.ports import Chunk, ContainerPlan, ContainerState, Created, Phase, PullPolicy, Sample, Stream

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_PATIENCE = 5.0


@frozen
class Program:
    """What a command does. It runs for ``seconds``, ``inf`` meaning until it is ended; one that ``floods`` never pauses."""

    stdout: bytes = b""
    stderr: bytes = b""
    exit_code: int = 0
    oom_killed: bool = False
    seconds: float = 0.0
    heeds_term: bool = True
    floods: bool = False
    samples: tuple[Sample, ...] = ()


@define
class _Container:
    plan: ContainerPlan
    program: Program
    state: ContainerState
    starts: int = 0
    started: threading.Event = field(factory=threading.Event)
    exited: threading.Event = field(factory=threading.Event)


class MemoryEngine:
    """Implements ``ports.Engine``. ``programs`` maps a command to what it does; any other command exits 0 at once.

    ``starts`` counts by name how often a program was started; ``containers`` names what is left.
    """

    def __init__(self, programs: Mapping[tuple[str, ...], Program] | None = None, images: frozenset[str] | None = None) -> None:
        self.starts: dict[str, int] = {}
        self._programs = dict(programs or {})
        self._images = images
        self._now = _EPOCH
        self._containers: dict[str, _Container] = {}
        self._lock = threading.RLock()

    @property
    def containers(self) -> frozenset[str]:
        """The names of all containers."""
        return frozenset(self._containers)

    def identity(self) -> str:
        """See ports.Engine."""
        return "memory"

    def pull(self, image: str, policy: PullPolicy) -> None:
        """See ports.Engine."""
        if self._images is not None and image not in self._images:
            raise ImageUnavailable(f"image {image!r} is not there (pull policy {policy})")

    def create(self, plan: ContainerPlan) -> Created:
        """See ports.Engine."""
        with self._lock:
            adopted = plan.name in self._containers
            if not adopted:
                program = self._programs.get(plan.command or (), Program())
                state = ContainerState(f"id-{plan.name}", Phase.CREATED, self._now, labels=plan.labels)
                self._containers[plan.name] = _Container(plan, program, state)
            return Created(self._containers[plan.name].state.id, adopted)

    def attach(self, name: str, *, stdin: bytes | None = None, replay: bool = False) -> Iterator[Chunk]:  # noqa: ARG002
        """See ports.Engine; a scripted program reads no stdin, and its output is always seen from the first byte."""
        return self._output(self._get(name))

    def start(self, name: str) -> None:
        """See ports.Engine."""
        with self._lock:
            container = self._get(name)
            if container.state.phase is not Phase.CREATED:
                return
            self.starts[name] = self.starts.get(name, 0) + 1
            container.state = evolve(container.state, phase=Phase.RUNNING, started_at=self._now)
            container.started.set()

    def inspect(self, name: str) -> ContainerState:
        """See ports.Engine."""
        with self._lock:
            return evolve(self._get(name).state, now=self._now)

    def wait(self, name: str, timeout: float) -> ContainerState:
        """See ports.Engine; moves the clock instead of waiting."""
        container = self._get(name)
        if container.program.floods:
            container.exited.wait(_PATIENCE)
        with self._lock:
            state = container.state
            if state.phase is Phase.RUNNING and state.started_at is not None:
                left = container.program.seconds - (self._now - state.started_at).total_seconds()
                self._now += timedelta(seconds=max(min(left, timeout), 0))
                if left <= timeout:
                    self._exit(container, container.program.exit_code)
        return self.inspect(name)

    def stop(self, name: str, grace: float) -> None:
        """See ports.Engine."""
        with self._lock:
            container = self._containers.get(name)
            if container is None or container.state.phase is not Phase.RUNNING:
                return
            gentle = grace > 0 and container.program.heeds_term
            self._now += timedelta(seconds=0 if gentle else grace)
            self._exit(container, 143 if gentle else 137)

    def stats(self, name: str) -> Iterator[Sample]:
        """See ports.Engine."""
        container = self._get(name)
        yield from container.program.samples
        container.exited.wait(_PATIENCE)

    def remove(self, name: str) -> None:
        """See ports.Engine."""
        with self._lock:
            container = self._containers.pop(name, None)
        if container is not None:
            container.started.set()
            container.exited.set()

    def _get(self, name: str) -> _Container:
        try:
            return self._containers[name]
        except KeyError:
            raise ContainerMissing(f"there is no container {name}") from None

    def _exit(self, container: _Container, code: int) -> None:
        state = evolve(container.state, phase=Phase.EXITED, exit_code=code, finished_at=self._now)
        container.state = evolve(state, oom_killed=container.program.oom_killed)
        container.exited.set()

    @staticmethod
    def _output(container: _Container) -> Iterator[Chunk]:
        container.started.wait()
        if container.program.stdout:
            yield Stream.STDOUT, container.program.stdout
        if container.program.stderr:
            yield Stream.STDERR, container.program.stderr
        container.exited.wait()


FOREVER = Program(seconds=inf)
"""A program that runs until it is ended."""
