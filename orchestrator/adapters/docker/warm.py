"""Containers that are started ahead: each waits for one program, gets it, and is removed after it.

A waiting container has its connections already. When this process dies, the engine closes the container's stdin, and the
program in it ends.
"""

import select
import socket
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import suppress
from functools import cached_property
from secrets import token_hex

from attrs import define, evolve, field, frozen

from orchestrator.adapters.docker import attach as docker_attach
from orchestrator.adapters.docker import stdin as docker_stdin
from orchestrator.adapters.docker.client import DockerClient, Reading
from orchestrator.adapters.docker.errors import SERVICE, translated
from orchestrator.adapters.docker.handover import AfterBegin, Handover
from orchestrator.adapters.docker.image import Image
from orchestrator.adapters.docker.warm_fit import handover, misfit
from orchestrator.errors import ContainerMissing, InfrastructureError, OrchestratorError
from orchestrator.log import logger
from orchestrator.ports import Chunk, ContainerPlan, Stream, Warmth

PREFIX = "orchestrator-warm-"
_SETTLE = 0.2
"""Seconds in which a container that cannot run the program of this package says so."""
_LEAVE = 10.0
"""The longest wait for the removal of those that wait. What is left of them ends with this process, and a sweep removes it."""
_IDLE = 10.0
_READ = 1 << 16
_LOOK = 1.0
"""Seconds between looks for containers that have ended."""
_PAUSES = (1.0, 5.0, 30.0)
"""Seconds of waiting after one failure, two, and more."""


@frozen(eq=False)
class Waiting:
    """A started container that waits for a program."""

    id: str
    plan: ContainerPlan
    """As it is kept, with the name that it has while it waits."""
    image: str
    """The id of its image."""
    reading: Reading
    """As the engine would describe it, with that name."""
    output: socket.socket
    stdin: socket.socket
    made_at: float
    """By the monotonic clock."""

    @property
    def waits(self) -> bool:
        """Whether it has neither ended nor said anything: then its output would be readable."""
        ready = select.poll()
        ready.register(self.output, select.POLLIN)
        return not ready.poll(0)

    @property
    def settled(self) -> bool:
        """Whether it waits and has had the time to say that it cannot."""
        return time.monotonic() - self.made_at > _SETTLE and self.waits

    def close(self) -> None:
        """Let go of its connections, which ends its program."""
        for connection in (self.output, self.stdin):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()


@define(eq=False, slots=False)
class Taken:
    """A container that has the name of a task and is about to get its program."""

    waiting: Waiting
    plan: ContainerPlan
    handover: Handover
    stdin: bytes | None = None
    written: Callable[[], None] = lambda: None
    _attached: bool = field(default=False, init=False)
    _early: list[Chunk] = field(factory=list, init=False)
    """Output that came together with the begin line."""
    _told: threading.Event = field(factory=threading.Event, init=False)
    """Set once ``tell`` is over: until then, nobody else reads the connection."""

    @cached_property
    def demux(self) -> AfterBegin:
        """Takes its output apart."""
        return AfterBegin(self.handover.line)

    def output(self, rest: Iterator[Chunk], alive: Callable[[], bool]) -> Iterator[Chunk]:
        """Its output. ``rest`` is what comes over its connection; ``alive`` says whether it may still get its program."""
        self._attached = True
        chunks = self._output(rest, alive)
        next(chunks)  # a generator that has begun closes the connections even if it is never read
        return chunks

    def _output(self, rest: Iterator[Chunk], alive: Callable[[], bool]) -> Generator[Chunk]:
        try:
            yield Stream.STDOUT, b""
            while not self._told.wait(_IDLE):
                if not alive():
                    break
            yield from self._early
            yield from rest
        finally:
            rest.close()  # type: ignore[attr-defined]

    def tell(self, client: DockerClient, timeout: float) -> None:
        """Hand the program over, and wait until it begins. Raises InfrastructureError if it does not, or may not have."""
        name, connection = self.waiting.plan.name, self.waiting.output
        try:
            told = self.handover.packed() + (self.stdin or b"")
            docker_stdin.send(client, self.waiting.stdin, name, told, self.written)
            ready = select.poll()
            ready.register(connection, select.POLLIN)
            deadline = time.monotonic() + timeout
            while not self.demux.has_begun and ready.poll(max(deadline - time.monotonic(), 0) * 1000):
                if not (data := connection.recv(_READ)):
                    break
                self._early += self.demux.feed(data)
        except OSError as error:
            raise InfrastructureError(SERVICE, f"the container {name} cannot be told its program: {error}") from error
        finally:
            self._told.set()
        if not self.demux.has_begun:
            raise InfrastructureError(SERVICE, f"the container {name} that waited has not begun the program")
        if not self._attached:
            self.waiting.close()  # nobody reads its output, which must not block it


Make = Callable[[ContainerPlan], tuple[Image, Reading]]
"""Makes a container for a plan, not started: its image, and its description as the engine would give it."""
Remove = Callable[[str, ContainerPlan], None]
"""Removes the container of this id, which was made for the plan, and its control group."""


class WarmPool:
    """The waiting containers of this process. A thread of its own makes and removes them."""

    def __init__(self, client: DockerClient, make: Make, remove: Remove) -> None:
        self._client = client
        self._make = make
        self._remove = remove
        self._wanted: Sequence[tuple[ContainerPlan, int]] = ()
        self._waiting: list[Waiting] = []
        self._useless: list[Waiting] = []
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    @property
    def kept(self) -> bool:
        """Whether any are to be kept."""
        return bool(self._wanted)

    @property
    def waiting(self) -> int:
        """How many wait now."""
        return len(self._waiting)

    def keep(self, wanted: Sequence[tuple[ContainerPlan, int]]) -> None:
        """See ports.Engine."""
        with self._changed:
            self._wanted = tuple(wanted)
            plans = [plan for plan, _ in wanted]
            other = [each for each in self._waiting if evolve(each.plan, name="") not in plans]
            self._waiting = [each for each in self._waiting if each not in other]
            self._useless += other
            thread = self._thread
            if wanted and thread is None:
                self._thread = threading.Thread(target=self._run, name="warm containers", daemon=True)
                self._thread.start()
            self._changed.notify_all()
        if not wanted and thread:
            thread.join(_LEAVE)

    def take(self, plan: ContainerPlan, image: Image) -> tuple[Taken | None, Warmth]:
        """A waiting container for the plan, or why there is none. It is the caller's from then on."""
        kept = next((each for each, _ in self._wanted if _are_alike(each, plan)), None)
        if kept is None:
            return None, Warmth.IMAGE
        if why := misfit(plan, kept, image):
            return None, why
        waiting, why = self._next(plan, image)
        if waiting is None:
            return None, why
        return Taken(waiting, plan, handover(plan, waiting.plan, image)), Warmth.TAKEN

    def give_back(self, taken: Taken) -> None:
        """The container was not used, and nothing was told it."""
        with self._changed:
            self._waiting.append(taken.waiting)

    def discard(self, waiting: Waiting) -> None:
        """Remove a container that is of no use. Never raises: what is left is found by its label."""
        waiting.close()
        with suppress(OrchestratorError):
            self._remove(waiting.id, waiting.plan)

    def _next(self, plan: ContainerPlan, image: Image) -> tuple[Waiting | None, Warmth]:
        """The longest waiting one. Those whose image has another id by now are left to the thread."""
        with self._changed:
            fitting = [each for each in self._waiting if _are_alike(each.plan, plan)]
            old = [each for each in fitting if each.image != image.id]
            found = next((each for each in fitting if each not in old and each.settled), None)
            self._waiting = [each for each in self._waiting if each is not found and each not in old]
            self._useless += old
            self._changed.notify_all()
        return found, Warmth.IMAGE if old else Warmth.NONE

    def _run(self) -> None:
        """Until none are wanted."""
        failures = 0
        while self._goes_on():
            try:
                self._tend()
                failures = 0
            except OrchestratorError as error:
                failures += 1
                logger.warning("no container can be started ahead for now: {}", error)
            with self._changed:
                if failures:
                    self._changed.wait_for(lambda: not self._wanted, _PAUSES[min(failures, len(_PAUSES)) - 1])
                elif self._wanted and self._missing() is None:
                    self._changed.wait(_LOOK)

    def _goes_on(self) -> bool:
        """Whether any are wanted. When none are, those that wait are removed; who wants some later needs another thread."""
        with self._changed:
            if self._wanted:
                return True
            left, self._waiting, self._useless = self._waiting + self._useless, [], []
        for waiting in left:
            waiting.close()  # all of them at once: this process may leave before the last one is removed
        for waiting in left:
            self.discard(waiting)
        with self._changed:
            if not self._wanted:
                self._thread = None
            return bool(self._wanted)

    def _tend(self) -> None:
        """Remove those that ended, then make one that is missing."""
        with self._changed:
            ended = [each for each in self._waiting if not each.waits]
            self._waiting = [each for each in self._waiting if each not in ended]
            useless, self._useless = ended + self._useless, []
        for waiting in useless:
            self.discard(waiting)
        if plan := self._missing():
            made = self._started(plan)
            with self._changed:
                self._waiting.append(made)
        if any(each.made_at + _SETTLE < time.monotonic() for each in ended):
            logger.warning("{} containers that waited for a program have ended", len(ended))
        elif ended:
            raise InfrastructureError(SERVICE, "a container ended as it began to wait for a program")

    def _missing(self) -> ContainerPlan | None:
        for plan, count in self._wanted:
            if sum(_are_alike(each.plan, plan) for each in self._waiting) < count:
                return plan
        return None

    def _started(self, plan: ContainerPlan) -> Waiting:
        """A new one. Raises InfrastructureError and what a plan that cannot be made raises."""
        plan = evolve(plan, name=f"{PREFIX}{token_hex(8)}-0")
        image, reading = self._make(plan)
        container = reading["Id"]
        connections: list[socket.socket] = []
        try:
            connections.append(docker_attach.dial(self._client, container))
            connections.append(docker_stdin.dial(self._client, container))
            with translated():
                self._client.api.start(container)
        except (ContainerMissing, OrchestratorError):
            for connection in connections:
                connection.close()
            with suppress(OrchestratorError):
                self._remove(container, plan)
            raise
        output, stdin = connections
        return Waiting(container, plan, image.id, reading, output, stdin, time.monotonic())


def _are_alike(one: ContainerPlan, other: ContainerPlan) -> bool:
    """Whether a container that is kept for one of them may do for the other, as far as it is kept for an image."""
    return (one.image, one.runtime) == (other.image, other.runtime)
