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
from orchestrator.adapters.docker.container_config import Config, container_config, files_name, log_keeps
from orchestrator.adapters.docker.container_state import container_state
from orchestrator.adapters.docker.engine_faults import fault_in_warnings
from orchestrator.adapters.docker.errors import SERVICE, Conflict, Refused, translated
from orchestrator.adapters.docker.given_id import given_id
from orchestrator.adapters.docker.handover import without_begin
from orchestrator.adapters.docker.image import UNKNOWN, Image
from orchestrator.adapters.docker.image_content import Insides, expect_bounded
from orchestrator.adapters.docker.images import Images
from orchestrator.adapters.docker.log_end import Pace
from orchestrator.adapters.docker.memory_floor import MemoryFloor
from orchestrator.adapters.docker.name_files import Names
from orchestrator.adapters.docker.recent import Recent
from orchestrator.adapters.docker.registry import PullRules
from orchestrator.adapters.docker.stream_end import StreamEnd
from orchestrator.adapters.docker.warm import PREFIX, Taken, WarmPool
from orchestrator.adapters.docker.warm_fit import waiting_config
from orchestrator.adapters.docker.warm_identity import Identities
from orchestrator.adapters.docker.warm_program import WarmProgram
from orchestrator.errors import ContainerMissing, EngineUnfit, InfrastructureError, Interrupted, OrchestratorError, TaskFailure
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
    Warmth,
)
from orchestrator.task.labels import DEPLOYMENT, WARM

_PAUSE = 0.1
_LOOK = 5.0
"""Seconds after which a wait checks whether to give up."""
_PARENT = "cgroup-parent"
"""The words in an engine's answer when it refuses the parent of a container's group."""


_ANY_PULL = PullRules()


class DockerEngine:
    """Implements ports.Engine. Connects at its first use. All threads can share it, but not across a fork.

    ``timeout``, in seconds, is the longest silence of the engine during a call, ``pull_stall`` during a pull. ``pull_ahead`` is
    the policy for images of containers that wait for a program.
    """

    def __init__(
        self,
        base_url: str,
        timeout: float = 60.0,
        pull_stall: float = 60.0,
        pull_rules: PullRules = _ANY_PULL,
        pull_ahead: PullPolicy = PullPolicy.NEVER,
    ) -> None:
        self._clock = EngineClock(lambda: datetime.fromisoformat(self._client.ask().time))
        self._client = DockerClient(base_url, timeout, self._clock.heard)
        self._images = Images(self._client, pull_stall, pull_rules, lambda: self._clock.now().timestamp())
        self._groups = CgroupChoice(self._client, Cgroups())
        self._floor = MemoryFloor(self._client)
        self._insides = Insides(self._client)
        self._names = Names(self._client)
        self._timeout = timeout
        self._pull_ahead = pull_ahead
        self._identity = ""
        self._made = Recent[Reading]()
        self._ends = Recent[StreamEnd]()
        self._exited = Recent[Reading]()
        self._beside = Recent[int]()
        self._warm = WarmPool(self._client, self._make_waiting, self._remove_waiting)
        self._warm_program = WarmProgram(self._client)
        self._identities = Identities(self._client)
        self._taken = Recent[Taken]()

    def close(self) -> None:
        """Remove the containers that wait, and close idle connections; open streams continue."""
        self._warm.keep(())
        for container in self._taken.known():
            self._disconnect(container)
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

    def keep_warm(self, wanted: Sequence[tuple[ContainerPlan, int]]) -> None:
        """See ports.Engine."""
        self._warm.keep(wanted)

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
        if taken := self._taken.get(container):
            taken.stdin, taken.written = stdin, written
            connections = taken.waiting.output, taken.waiting.stdin
            told = end.begin, partial(self._see_end, container, end), end.close
            rest = docker_attach.output(connections, *asked, *told, taken.demux, sure=self._client.local)
            return taken.output(rest, asked[0])
        told = end.begin, partial(self._see_end, container, end), end.close
        return docker_attach.attach(self._client, container, stdin, *asked, written, *told)

    def read_log(self, container: str) -> Iterator[Chunk]:
        """See ports.Engine."""
        reading = self._read(container)
        log = docker_logs.replay(self._client, container, partial(self.wait, container), log_keeps(reading))
        return without_begin(log) if WARM in (reading["Config"]["Labels"] or {}) else log

    def start(self, container: str) -> ContainerProbe:
        """See ports.Engine. The engine would start an exited container again.

        So it looks first, unless this process has made the container and has not tried to start it.
        """
        if taken := self._taken.pop(container):
            return self._hand_over(taken)
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
        if self._taken.get(container):
            return sent  # its program has not begun
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
        removed = docker_owned.remove(self._client, name, deployment, nonce, self._exited.pop(name), self._identities.labels)
        if removed is not None:
            self._disconnect(removed.get("Id", ""))
            self._groups.remove(_first_name(removed, name), deployment)

    def owned(self, deployment: str) -> Sequence[Owned]:
        """See ports.Engine."""
        labelled = list(docker_owned.owned(self._client, deployment, self._clock.now()))
        known = {owned.name for owned in labelled}
        groups = [owned for owned in self._groups.owned(deployment) if owned.name not in known]
        if any(owned.name.startswith(PREFIX) for owned in groups):
            used = {*docker_owned.waited(self._client, deployment)}
            groups = [owned for owned in groups if owned.name not in used]
        return labelled + groups

    def deployments(self) -> Mapping[str, int]:
        """See ports.Engine."""
        return docker_owned.deployments(self._client)

    def overdue(self) -> Sequence[str]:
        """See ports.Engine."""
        return [*docker_owned.overdue(self._client, self._clock.now(), self._identities.begun)]

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
        warmth = None
        if self._warm.kept:
            created, warmth = self._take(plan, image)
            if created:
                return created
        if image.filled:
            docker_owned.forget_kept(self._client, plan)
        docker_files.fill(self._client, plan, image)
        docker_out.hold(self._client, plan, image)
        created = self._make_or_adopt(plan, image)
        return created if created.adopted else evolve(created, warm=warmth)

    def _take(self, plan: ContainerPlan, image: Image) -> tuple[Created | None, Warmth]:
        """A waiting container with the plan's name, or why there is none. If the name is in use, another call adopts that one.

        When the answer is lost, nothing is told the container: it ends, because its connections are closed.
        """
        while True:
            taken, why = self._warm.take(plan, image)
            if taken is None:
                return None, why
            container = taken.waiting.id
            try:
                with translated():
                    self._client.api.rename(container, plan.name)
            except Conflict:
                self._warm.give_back(taken)
                return None, Warmth.NONE
            except ContainerMissing:
                taken.waiting.close()
                continue
            except InfrastructureError:
                taken.waiting.close()
                raise
            self._identities.mean(container, plan.labels)
            self._taken.put(container, taken)
            return Created(container, adopted=False, warm=why), why

    def _hand_over(self, taken: Taken) -> ContainerProbe:
        """Let the waiting container become the program. Its folders are there, so they are held before."""
        container = taken.waiting.id
        probe = self._groups.probe(taken.waiting.reading)
        at = self._clock.now()
        try:
            taken.tell(self._client, self._timeout)
        except InfrastructureError:
            probe.close()
            taken.waiting.close()
            self._read(container)  # raises ContainerMissing if another worker has removed it
            raise
        self._identities.note(container, taken.plan.labels, at)
        return probe

    def _make_waiting(self, plan: ContainerPlan) -> tuple[Image, Reading]:
        """Make a container that waits for a program, not started, and describe it. Its image is pulled if it is missing.

        Podman's init has other words for a program that cannot be executed.
        """
        if not self._client.facts.id:
            raise InfrastructureError(SERVICE, "WARM: containers wait for programs only on Docker")
        self._images.ensure(plan.image, self._pull_ahead)
        image = self._images.described(plan.image)
        plan = evolve(plan, labels={**dict.fromkeys(image.labels, ""), **plan.labels})
        image = self._insides.of(plan, image)
        if image.filled:
            raise InfrastructureError(
                SERVICE, f"the image {plan.image!r} has volumes with content, of which each task needs a copy"
            )
        parent = self._groups.parent(plan)
        plan = evolve(plan, labels={**plan.labels, **parent.labels})
        mount = self._warm_program.mount(plan, image)
        config = waiting_config(plan, image, parent.name, self._names.folder(plan, image), mount)
        try:
            made = self._made_of(plan, config, parent.name)
        except OrchestratorError:
            self._warm_program.forget()
            raise
        return image, self._made.pop(made.id) or {}

    def _remove_waiting(self, container: str, plan: ContainerPlan) -> None:
        """Remove a container that waited. It may have the name of a task by now, so it is removed by its id."""
        with suppress(ContainerMissing), translated():
            self._client.api.remove_container(container, v=True, force=True)
        self._groups.remove(plan.name, plan.labels.get(DEPLOYMENT, ""))

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
        return self._made_of(labelled, container_config(labelled, image, parent.name, network, names), parent.name)

    def _made_of(self, plan: ContainerPlan, config: Config, parent: str) -> Created:
        """Make the plan's container of this configuration, with the parent of its control group, and remember it."""
        try:
            with translated(wishes=True):
                answer = self._client.api.create_container_from_config(config, plan.name)  # type: ignore[no-untyped-call]
        except TaskFailure as error:
            if parent and _PARENT in str(error):
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
        if _waits(state, plan):
            self._withdraw_waiting(state)
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
        self._disconnect(container)
        return True

    def _withdraw_waiting(self, state: ContainerState) -> None:
        """Remove a container in which no program has begun, although one may be about to: nobody can begin there afterwards.

        Raises Interrupted when its program began at this moment, and was killed.
        """
        with suppress(ContainerMissing):
            self._kill(state.id, "SIGKILL")
            self._await_exit(state.id, self._timeout)
            if docker_state.phase(self._read(state.id)) is Phase.RUNNING:
                raise InfrastructureError(SERVICE, f"container {state.id} survives KILL")
            if self._identities.has_begun(state.id):
                raise Interrupted("its program began as its container was to be removed, and was killed")
            with translated():
                self._client.api.remove_container(state.id, v=True, force=True)
        self._disconnect(state.id)
        self._groups.remove(state.labels[WARM], state.labels.get(DEPLOYMENT, ""))

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

    def _disconnect(self, container: str) -> None:
        """Close the connections of a container that waited, was taken, and never got its program."""
        if taken := self._taken.pop(container):
            taken.waiting.close()

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
        self._exited.put(reading["Name"].removeprefix("/"), docker_owned.told(reading, state.labels))

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
        state = container_state(reading, self._clock.now(), self._groups.count(_as_made(reading)))
        state = evolve(state, uncounted=self._groups.reason) if state.counted is None else state
        return self._identities.state(state)

    def _read(self, container: str) -> Reading:
        with translated():
            reading: Reading = self._client.api.inspect_container(container)
        self._beside.put(reading["Id"], beside(reading))
        return reading


def _waits(state: ContainerState, plan: ContainerPlan) -> bool:
    """Whether the container has the plan's name, but no program began in it, so that its labels tell no task."""
    ours = state.labels.get(DEPLOYMENT) == plan.labels.get(DEPLOYMENT)
    return ours and WARM in state.labels and state.phase is Phase.CREATED


def _as_made(reading: Reading) -> Reading:
    """The description of a container under the name that it had when it was made, which its control group follows."""
    name = (reading["Config"]["Labels"] or {}).get(WARM)
    return {**reading, "Name": f"/{name}"} if name else reading


def _first_name(reading: Reading, name: str) -> str:
    """That name, by what is known of a removed container of this ``name``."""
    return str((reading.get("Config", {}).get("Labels") or {}).get(WARM, name))
