"""The container engine, by Docker. Owns the order of calls that makes each step repeatable. Knows no task document."""

import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial

from attrs import evolve

from orchestrator.adapters.docker import attach as docker_attach
from orchestrator.adapters.docker import cleanup as docker_owned
from orchestrator.adapters.docker import container_state as docker_state
from orchestrator.adapters.docker import engine_restart as docker_deaths
from orchestrator.adapters.docker import events
from orchestrator.adapters.docker import input_volume as docker_files
from orchestrator.adapters.docker import log_end as docker_cut
from orchestrator.adapters.docker import logs as docker_logs
from orchestrator.adapters.docker import network as docker_network
from orchestrator.adapters.docker import output_volume as docker_out
from orchestrator.adapters.docker import stats as docker_stats
from orchestrator.adapters.docker.cgroup import Cgroups
from orchestrator.adapters.docker.cgroup_choice import CgroupChoice
from orchestrator.adapters.docker.cgroup_parents import beside
from orchestrator.adapters.docker.client import DockerClient, Reading
from orchestrator.adapters.docker.clock import EngineClock
from orchestrator.adapters.docker.container_config import container_config, files_name, log_keeps
from orchestrator.adapters.docker.container_state import container_state
from orchestrator.adapters.docker.engine_faults import fault_in_warnings
from orchestrator.adapters.docker.errors import SERVICE, Conflict, Refused, translated
from orchestrator.adapters.docker.given_id import given_id
from orchestrator.adapters.docker.image import UNKNOWN, Image
from orchestrator.adapters.docker.image_content import Insides, expect_bounded
from orchestrator.adapters.docker.images import Images
from orchestrator.adapters.docker.log_end import Pace
from orchestrator.adapters.docker.memory_floor import MemoryFloor
from orchestrator.adapters.docker.name_files import Names
from orchestrator.adapters.docker.recent import Recent
from orchestrator.adapters.docker.registry import PullRules
from orchestrator.adapters.docker.stream_end import StreamEnd
from orchestrator.errors import ContainerMissing, EngineUnfit, InfrastructureError, TaskFailure
from orchestrator.ports import (
    Chunk,
    ContainerPlan,
    ContainerProbe,
    ContainerState,
    Created,
    EngineEvents,
    Host,
    Owned,
    Phase,
    PullPolicy,
    Sample,
    Stream,
)
from orchestrator.task.labels import DEPLOYMENT

_PAUSE = 0.1
_LOOK = 5.0
"""Seconds after which a wait checks whether to give up."""
_PARENT = "cgroup-parent"
"""The words in an engine's answer when it refuses the parent of a container's group."""


_ANY_PULL = PullRules()


class DockerEngine:
    """Implements ports.Engine. Connects at its first use. All threads can share it, but not across a fork.

    ``timeout``, in seconds, is the longest silence of the engine during a call, ``pull_stall`` during a pull.
    """

    def __init__(
        self, base_url: str, timeout: float = 60.0, pull_stall: float = 60.0, pull_rules: PullRules = _ANY_PULL
    ) -> None:
        self._clock = EngineClock(lambda: datetime.fromisoformat(self._client.ask().time))
        self._client = DockerClient(base_url, timeout, self._clock.heard)
        self._images = Images(self._client, pull_stall, pull_rules, lambda: self._clock.now().timestamp())
        self._groups = CgroupChoice(self._client, Cgroups())
        self._floor = MemoryFloor(self._client)
        self._insides = Insides(self._client)
        self._names = Names(self._client)
        self._timeout = timeout
        self._identity = ""
        self._made = Recent[Reading]()
        self._ends = Recent[StreamEnd]()
        self._exited = Recent[Reading]()
        self._beside = Recent[int]()

    def close(self) -> None:
        """Close idle connections; open streams continue."""
        self._client.close()

    def identity(self) -> str:
        """See ports.Engine."""
        self._identity = self._identity or self._client.facts.id or given_id(self._client)
        return self._identity

    def host(self) -> Host:
        """See ports.Engine."""
        now = self._client.ask()
        return Host(now.cpus, now.memory)

    def limits_on_all(self) -> str:
        """The limits on all tasks of this host together, in a line; empty if their group is unknown."""
        return self._groups.limits_on_all()

    def pull(self, image: str, policy: PullPolicy, go_on: Callable[[], None] = lambda: None) -> None:
        """See ports.Engine."""
        self._images.ensure(image, policy, go_on)

    def unwanted_images(self) -> Sequence[str]:
        """See ports.Engine."""
        return self._images.unwanted()

    def remove_image(self, image: str) -> None:
        """See ports.Engine."""
        self._images.remove(image)

    def create(self, plan: ContainerPlan) -> Created:
        """See ports.Engine."""
        try:
            created = self._adopt(plan) if self._needs_more(plan) else None  # its parts are complete then, and may be in use
            created = created or self._make_with_folders(plan)
        except ContainerMissing as error:
            raise InfrastructureError(SERVICE, f"{plan.name} was removed in part while it was made: {error}") from error
        if plan.files:
            docker_owned.remove_container(self._client, files_name(plan.name), plan.labels.get(DEPLOYMENT, ""))
        return created

    def attach(self, container: str, stdin: bytes | None, written: Callable[[], None] = lambda: None) -> Iterator[Chunk]:
        """See ports.Engine."""
        end = self._ends.put(container, StreamEnd())
        asked = partial(self._alive, container), partial(self._cut, container)
        told = written, end.begin, partial(self._see_end, container, end), end.close
        return docker_attach.attach(self._client, container, stdin, *asked, *told)

    def read_log(self, container: str) -> Iterator[Chunk]:
        """See ports.Engine."""
        keeps = log_keeps(self._read(container))
        return docker_logs.replay(self._client, container, partial(self.wait, container), keeps)

    def start(self, container: str) -> ContainerProbe:
        """See ports.Engine. The engine would start an exited container again.

        So it looks first, unless this process has made the container and has not tried to start it.
        """
        made = self._made.pop(container)
        reading = made or self._read(container)
        fresh = made is not None or docker_state.phase(reading) is Phase.CREATED
        return self._groups.probe(reading, partial(self._start, container) if fresh else None)

    def probe(self, container: str) -> ContainerProbe:
        """See ports.Engine."""
        return self._groups.probe(self._read(container))

    def inspect(self, container: str) -> ContainerState:
        """See ports.Engine."""
        return self._state(self._read(container))

    def wait(self, container: str, timeout: float, give_up: Callable[[], bool] = lambda: False) -> ContainerState:
        """See ports.Engine. The engine's answer to wait is ignored, whether it is an exit or a cut: the state decides.

        If this process reads the program's output, it waits for the end of that instead.
        """
        deadline = time.monotonic() + timeout
        while True:
            left = deadline - time.monotonic()
            if left > 0:
                self._await_exit(container, min(left, self._timeout, _LOOK))
            state = self._seen_end(container) or self.inspect(container)
            left = deadline - time.monotonic()
            if state.phase is Phase.EXITED or left <= 0 or give_up():
                return state
            time.sleep(min(_PAUSE, left))

    def stop(self, container: str, grace: float) -> bool:
        """See ports.Engine."""
        sent = False
        with suppress(ContainerMissing):
            if grace > 0:
                sent = self._kill(container, "SIGTERM")
                if not sent or self.wait(container, grace).phase is not Phase.RUNNING:
                    return sent
            if self._kill(container, "SIGKILL"):
                sent = True
                if self.wait(container, self._timeout).phase is Phase.RUNNING:
                    raise InfrastructureError(SERVICE, f"container {container} survives KILL")
        return sent

    def noted(self, container: str) -> EngineEvents:
        """See ports.Engine. The engine remembers the last 256 events of all containers."""
        return events.noted(self._client, container, self._clock.now())

    def took_down(self, state: ContainerState, *, away: bool) -> bool:
        """See ports.Engine."""
        return docker_deaths.took_down(self._client, state, away=away)

    def stats(self, container: str) -> Iterator[Sample]:
        """See ports.Engine. Opens the stream when the first sample is asked for."""
        known = self._beside.get(container)
        return docker_stats.samples(self._client, container, 1 if known is None else known)

    def archive(self, name: str) -> Generator[bytes]:
        """See ports.Engine."""
        return docker_out.read(self._client, name)

    def remove(self, name: str, deployment: str, nonce: str | None = None) -> None:
        """See ports.Engine."""
        if docker_owned.remove(self._client, name, deployment, nonce, self._exited.pop(name)):
            self._groups.remove(name, deployment)

    def owned(self, deployment: str) -> Sequence[Owned]:
        """See ports.Engine."""
        labelled = list(docker_owned.owned(self._client, deployment, self._clock.now()))
        known = {owned.name for owned in labelled}
        return labelled + [owned for owned in self._groups.owned(deployment) if owned.name not in known]

    def deployments(self) -> Mapping[str, int]:
        """See ports.Engine."""
        return docker_owned.deployments(self._client)

    def overdue(self) -> Sequence[str]:
        """See ports.Engine."""
        return [*docker_owned.overdue(self._client, self._clock.now())]

    def start_id(self) -> str:
        """See ports.Engine. It is the id of the engine's default bridge, which the engine makes when it starts."""
        return docker_deaths.bridge_id(self._client)

    def _needs_more(self, plan: ContainerPlan) -> bool:
        """Whether the plan needs more than its container."""
        return bool(plan.files) or plan.out or self._floor.concerns(plan)

    def _make_with_folders(self, plan: ContainerPlan) -> Created:
        """Make the container and its folders. The image's labels are set to blank: other programs of the host may act on them.

        Without a value here, the engine adds the image's.
        """
        image = self._images.described(plan.image)
        plan = evolve(plan, labels={**dict.fromkeys(image.labels, ""), **plan.labels})
        self._floor.check(plan, image)
        image = self._insides.of(plan, image)
        expect_bounded(plan, image)
        if image.filled:
            docker_owned.forget_kept(self._client, plan)
        docker_files.fill(self._client, plan, image)
        docker_out.hold(self._client, plan, image)
        return self._make_or_adopt(plan, image)

    def _make_or_adopt(self, plan: ContainerPlan, image: Image) -> Created:
        try:
            return self._make(plan, image)
        except Conflict:
            return self._adopt(plan) or self._make(plan, image)

    def _make(self, plan: ContainerPlan, image: Image = UNKNOWN) -> Created:
        network = docker_network.ours(self._client) if plan.network else ""
        names = "" if plan.network else self._names.folder(plan, image)
        parent = self._groups.parent(plan)
        labelled = evolve(plan, labels={**plan.labels, **parent.labels})
        config = container_config(labelled, image, parent.name, network, names)
        try:
            with translated(wishes=True):
                answer = self._client.api.create_container_from_config(config, plan.name)  # type: ignore[no-untyped-call]
        except TaskFailure as error:
            if parent.name and _PARENT in str(error):
                self._groups.look_again()
                raise InfrastructureError(SERVICE, f"the engine was started with other control groups: {error}") from error
            self._names.expect_there(error)
            raise
        if unfit := fault_in_warnings(answer.get("Warnings") or ()):
            docker_owned.remove_container(self._client, plan.name, plan.labels.get(DEPLOYMENT, ""))
            raise unfit
        described = {"Id": answer["Id"], "Name": f"/{plan.name}", "Config": config, "HostConfig": config["HostConfig"]}
        self._made.put(answer["Id"], described)
        self._beside.put(answer["Id"], beside(described))
        return Created(answer["Id"], adopted=False)

    def _adopt(self, plan: ContainerPlan) -> Created | None:
        """Take over the container of this name; None if there is none. A container that was never started is removed first.

        Raises InfrastructureError when it is not the task's.
        """
        try:
            state = self.inspect(plan.name)
        except ContainerMissing:
            return None
        docker_owned.expect_ours(plan, plan.name, state.labels)
        if state.phase is Phase.CREATED and self._withdraw(state.id):
            return None
        return Created(state.id, adopted=True)

    def _withdraw(self, container: str) -> bool:
        """Remove a container unless it runs; whether it is gone.

        One that a worker without its lease starts at this moment, and that ends at once, goes, too: its program runs again.
        """
        try:
            with suppress(ContainerMissing), translated():
                self._client.api.remove_container(container, v=True, force=False)
        except Conflict:
            return False
        return True

    def _start(self, container: str) -> None:
        """A refusal of the engine may only mean too little memory for the start. The task then gets another message."""
        try:
            with translated(wishes=True):
                self._client.api.start(container)
        except EngineUnfit:
            raise
        except (InfrastructureError, TaskFailure) as error:
            self._names.expect_there(error)
            told = isinstance(error, TaskFailure)
            if not told and self.inspect(container).phase is not Phase.CREATED:
                return
            if told or isinstance(error, Refused):
                self._floor.blame(self._read(container))
            raise

    def _see_end(self, container: str, end: StreamEnd) -> None:
        """At the end of a stream: note the end of the program. If it runs, the connection was cut."""
        try:
            reading = self._read(container)
        except ContainerMissing as error:
            raise InfrastructureError(SERVICE, f"the stream is over, and the container was removed: {error}") from error
        state = self._state(reading)
        if state.phase is not Phase.EXITED:
            raise InfrastructureError(SERVICE, "the stream is over, but the program runs on")
        end.state = state
        self._exited.put(reading["Name"].removeprefix("/"), docker_owned.told(reading))

    def _seen_end(self, container: str) -> ContainerState | None:
        """The state at the end of the output; None if it is not known, or was told before."""
        end = self._ends.get(container)
        if end is None or end.state is None:
            return None
        self._ends.pop(container)
        return end.state

    def _alive(self, container: str) -> bool:
        """Whether output may still come; True if the engine does not answer."""
        try:
            return self.inspect(container).phase is not Phase.EXITED
        except ContainerMissing:
            return False
        except InfrastructureError:
            return True

    def _cut(self, container: str, pace: Pace) -> frozenset[Stream]:
        """The streams of an ended live output that may have lost their end. Asks the engine only after a long output."""
        if not pace.held_up:
            return frozenset()
        try:
            return docker_cut.of_stream(self._client, self.inspect(container), pace, self._clock.at)
        except ContainerMissing:
            return pace.held_up

    def _await_exit(self, container: str, timeout: float) -> None:
        end = self._ends.get(container)
        if end and (end.state or end.is_awaited):
            end.wait(timeout)
            return
        with suppress(InfrastructureError), translated():
            self._client.api.wait(container, timeout=timeout)  # type: ignore[arg-type]

    def _kill(self, container: str, signal: str) -> bool:
        """Send the signal; False if no program is there. A call that was cut may have had its effect."""
        try:
            with translated():
                self._client.api.kill(container, signal)
        except InfrastructureError as error:
            if self.inspect(container).phase is Phase.RUNNING:
                raise
            return not isinstance(error, Conflict)
        return True

    def _state(self, reading: Reading) -> ContainerState:
        state = container_state(reading, self._clock.now(), self._groups.count(reading))
        return evolve(state, uncounted=self._groups.reason) if state.counted is None else state

    def _read(self, container: str) -> Reading:
        with translated():
            reading: Reading = self._client.api.inspect_container(container)
        self._beside.put(reading["Id"], beside(reading))
        return reading
