"""A container engine in memory: scripted programs on a clock that only waiting moves, so a run takes no real time."""

import threading
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from math import inf

from attrs import define, evolve, field

from orchestrator.errors import ContainerMissing, ImageUnavailable, InfrastructureError
from orchestrator.ports import (
    Chunk,
    ContainerPlan,
    ContainerProbe,
    ContainerState,
    Counters,
    Created,
    EngineEvents,
    Figure,
    Host,
    Owned,
    Phase,
    PullPolicy,
    Sample,
    Stream,
)
from orchestrator.task.labels import ATTEMPT, DEPLOYMENT, LIFETIME, NONCE, TASK, WORKER
from orchestrator.testing.programs import Program, ProgramProbe

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_PATIENCE = 5.0
_PIECE = 700
_SHUT_DOWN = frozenset({137, 143, 255})
"""Exit codes that the end of an engine explains by themselves."""


@define
class _Container:
    plan: ContainerPlan
    program: Program
    state: ContainerState
    taken_down: bool = False
    started: threading.Event = field(factory=threading.Event)
    exited: threading.Event = field(factory=threading.Event)


class MemoryEngine:
    """Implements ``ports.Engine``. ``programs`` maps a command to what it does; any other command exits 0 at once.

    ``starts`` counts by name how often a program was started; ``containers`` names what is left.
    """

    def __init__(
        self,
        programs: Mapping[tuple[str, ...], Program] | None = None,
        images: frozenset[str] | None = None,
        name: str = "memory",
    ) -> None:
        self.starts: dict[str, int] = {}
        self.age_of_owned = inf
        self.unwanted: set[str] = set()
        self.kept_warm: list[tuple[ContainerPlan, int]] = []
        self.machine = Host(64, 1 << 40)
        self.started_as = name
        self._name = name
        self._programs = dict(programs or {})
        self._images = images
        self._now = _EPOCH
        self._containers: dict[str, _Container] = {}
        self._made = 0
        self._lock = threading.RLock()

    @property
    def containers(self) -> frozenset[str]:
        """The names of all containers."""
        return frozenset(self._containers)

    def identity(self) -> str:
        """See ports.Engine."""
        return self._name

    def host(self) -> Host:
        """See ports.Engine."""
        return self.machine

    def pull(self, image: str, policy: PullPolicy, go_on: Callable[[], None] = lambda: None) -> None:
        """See ports.Engine."""
        go_on()
        if self._images is not None and image not in self._images:
            raise ImageUnavailable(f"image {image!r} is not there (pull policy {policy})")

    def unwanted_images(self) -> Sequence[str]:
        """See ports.Engine: those that a test says."""
        return sorted(self.unwanted)

    def remove_image(self, image: str) -> None:
        """See ports.Engine."""
        self.unwanted.discard(image)

    def keep_warm(self, wanted: Sequence[tuple[ContainerPlan, int]]) -> None:
        """See ports.Engine: nothing takes time here, so it is only noted."""
        self.kept_warm = [*wanted]

    def create(self, plan: ContainerPlan) -> Created:
        """See ports.Engine."""
        with self._lock:
            existing = self._containers.get(plan.name)
            telling = plan.labels.keys() - {WORKER, LIFETIME}
            if existing and any(existing.plan.labels.get(key) != plan.labels[key] for key in telling):
                raise InfrastructureError("memory", f"the name {plan.name} is taken by a container with other labels")
            adopted = existing is not None and existing.state.phase is not Phase.CREATED
            if not adopted:
                self._end(self._containers.pop(plan.name, None))
                self._made += 1
                program = self._programs.get(plan.command or (), Program())
                state = ContainerState(f"{plan.name}#{self._made}", Phase.CREATED, self._now, labels=plan.labels)
                self._containers[plan.name] = _Container(plan, program, state)
            return Created(self._containers[plan.name].state.id, adopted)

    def attach(self, container: str, stdin: bytes | None, written: Callable[[], None] = lambda: None) -> Iterator[Chunk]:
        """See ports.Engine; a scripted program reads no stdin, and takes all of it unless it is one that never reads."""
        found = self._get(container)
        if stdin is not None and found.program.reads:
            written()
        return self._output(found)

    def read_log(self, container: str) -> Iterator[Chunk]:
        """See ports.Engine."""
        return self._output(self._get(container))

    def start(self, container: str) -> ContainerProbe:
        """See ports.Engine."""
        with self._lock:
            found = self._get(container)
            if found.state.phase is Phase.CREATED:
                self.starts[found.plan.name] = self.starts.get(found.plan.name, 0) + 1
                found.state = evolve(found.state, phase=Phase.RUNNING, started_at=self._now)
                found.started.set()
            return self.probe(container)

    def probe(self, container: str) -> ContainerProbe:
        """See ports.Engine."""
        found = self._get(container)
        return ProgramProbe(() if found.state.phase is Phase.EXITED else found.program.full)

    def inspect(self, container: str) -> ContainerState:
        """See ports.Engine."""
        with self._lock:
            found = self._get(container)
            state = evolve(found.state, now=self._now)
            figures = {**found.program.counted, Figure.CPU_TIME: found.program.busy * state.ran_for}
            return evolve(state, counted=Counters("memory", figures))

    def wait(self, container: str, timeout: float, give_up: Callable[[], bool] = lambda: False) -> ContainerState:  # noqa: ARG002
        """See ports.Engine; moves the clock instead of waiting."""
        found = self._get(container)
        if found.program.floods:
            found.exited.wait(_PATIENCE)
        with self._lock:
            state = found.state
            if state.phase is Phase.RUNNING and state.started_at is not None:
                left = found.program.seconds - (self._now - state.started_at).total_seconds()
                self._now += timedelta(seconds=max(min(left, timeout), 0))
                if left <= timeout:
                    self._exit(found, found.program.exit_code)
        return self.inspect(container)

    def stop(self, container: str, grace: float) -> bool:
        """See ports.Engine."""
        with self._lock:
            try:
                found = self._get(container)
            except ContainerMissing:
                return False
            if runs := found.state.phase is Phase.RUNNING:
                gentle = grace > 0 and found.program.heeds_term
                self._now += timedelta(seconds=0 if gentle else grace)
                self._exit(found, 143 if gentle else 137)
            return runs

    def noted(self, container: str) -> EngineEvents:
        """See ports.Engine."""
        return self._get(container).program.noted

    def took_down(self, state: ContainerState, *, away: bool) -> bool:
        """See ports.Engine."""
        explained = state.exit_code != 0 and (away or state.exit_code in _SHUT_DOWN)
        return self._get(state.id).taken_down and explained

    def restart(self, code: int = 143) -> None:
        """Go down and come back: every program that runs ends with ``code``."""
        with self._lock:
            for found in self._containers.values():
                if found.state.phase is Phase.RUNNING:
                    found.taken_down = True
                    self._exit(found, code)

    def stats(self, container: str) -> Iterator[Sample]:
        """See ports.Engine."""
        found = self._get(container)
        yield from found.program.samples
        found.exited.wait(_PATIENCE)

    def archive(self, name: str) -> Generator[bytes]:
        """See ports.Engine; in pieces that fit nothing in particular."""
        found = self._get(name)
        if not found.plan.out:
            raise ContainerMissing(f"{name} has no /out")
        out = found.program.out
        yield from (out[at : at + _PIECE] for at in range(0, len(out), _PIECE))

    def remove(self, name: str, deployment: str, nonce: str | None = None) -> None:
        """See ports.Engine."""
        with self._lock:
            found = self._containers.get(name)
            labels = found.plan.labels if found else {}
            if found and labels.get(DEPLOYMENT) == deployment and nonce in {None, labels.get(NONCE, "")}:
                self._end(self._containers.pop(name))

    def owned(self, deployment: str) -> Sequence[Owned]:
        """See ports.Engine."""
        everything = list(self._containers.values())
        ours = [found for found in everything if found.plan.labels.get(DEPLOYMENT) == deployment]
        return [
            Owned(plan.name, plan.labels[TASK], int(plan.labels[ATTEMPT]), self.age_of_owned, plan.labels.get(NONCE, ""))
            for plan in (found.plan for found in ours)
        ]

    def deployments(self) -> Mapping[str, int]:
        """See ports.Engine."""
        return Counter(found.plan.labels.get(DEPLOYMENT, "") for found in self._containers.values())

    def overdue(self) -> Sequence[str]:
        """See ports.Engine."""
        running = [found for found in list(self._containers.values()) if found.state.phase is Phase.RUNNING]
        ids = [(found.state.id, float(found.plan.labels.get(LIFETIME, inf))) for found in running]
        return [container for container, allowed in ids if self.inspect(container).ran_for > allowed]

    def start_id(self) -> str:
        """See ports.Engine."""
        return self.started_as

    def _get(self, container: str) -> _Container:
        for found in list(self._containers.values()):
            if container in {found.state.id, found.plan.name}:
                return found
        raise ContainerMissing(f"there is no container {container}")

    def _exit(self, container: _Container, code: int) -> None:
        state = evolve(container.state, phase=Phase.EXITED, exit_code=code, finished_at=self._now)
        container.state = evolve(state, oom_killed=container.program.oom_killed)
        container.exited.set()

    @staticmethod
    def _end(container: _Container | None) -> None:
        """Nobody waits for one that is removed."""
        if container is not None:
            container.started.set()
            container.exited.set()

    @staticmethod
    def _output(container: _Container) -> Iterator[Chunk]:
        container.started.wait()
        if container.program.stdout:
            yield Stream.STDOUT, container.program.stdout
        if container.program.stderr:
            yield Stream.STDERR, container.program.stderr
        container.exited.wait()
