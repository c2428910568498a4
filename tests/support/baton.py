"""Threads of worker processes that run one at a time, each from one port call to the next, in an order that a test decides."""

import threading
from collections.abc import Callable
from enum import Enum

from attrs import define, field

from orchestrator.errors import InfrastructureError
from tests.support import pace
from tests.support.faults import AWAY, Killed

_STUCK = pace.seconds(20.0)
_LOCAL = frozenset({"identity", "deployment", "now", "bucket", "host"})
"""Calls that only read what never changes, or the clock: nothing is gained from stopping there."""


class How(Enum):
    """What becomes of a call: it is made, fails before or after its effect, or the process dies before or after it."""

    MAKE = "make"
    FAIL = "fail"
    LOSE_REPLY = "lose reply"
    DIE_BEFORE = "die before"
    DIE_AFTER = "die after"


@define(eq=False)
class Actor:
    """One thread of a process. ``call`` is the port call that it stands before; None once it has ended."""

    process: "Puppet"
    name: str
    work: Callable[[], object]
    call: str | None = "start"
    error: BaseException | None = None
    began: int = 0
    _how: How = How.MAKE
    _go: threading.Semaphore = field(factory=lambda: threading.Semaphore(0))
    _back: threading.Semaphore = field(factory=lambda: threading.Semaphore(0))

    def begin(self) -> None:
        """Run up to the first call."""
        threading.Thread(target=self._run, name=self.name, daemon=True).start()
        self._await()

    def step(self, how: How) -> None:
        """Let the call that it stands before become ``how``, and run up to the next."""
        self._how = how
        self._go.release()
        self._await()

    def until(self, call: str) -> "Actor":
        """Let it go on until it stands before ``call`` or has ended."""
        while self.call not in {call, None}:
            self.step(How.MAKE)
        return self

    def stop(self, call: str) -> How:
        """From the actor's own thread: stand before ``call`` until told what becomes of it."""
        self.call = call
        self._back.release()
        self._go.acquire()
        return self._how

    def _await(self) -> None:
        if not self._back.acquire(timeout=_STUCK):
            raise AssertionError(f"{self.name} neither came back nor ended after {self.call}")

    def _run(self) -> None:
        _acting.actor = self
        try:
            self.work()
        except BaseException as error:  # noqa: BLE001  the test tells the expected ones from the others
            self.error = error
        self.call = None
        self._back.release()


@define(eq=False)
class Puppet:
    """A worker process on strings: it implements ``faults.Process``. ``made`` is told of each call that has had its effect."""

    name: str
    made: Callable[[Actor, str, tuple[object, ...]], None] = lambda *_: None
    actors: list[Actor] = field(factory=list)
    dead: bool = False

    def act(self, name: str, work: Callable[[], object]) -> Actor:
        """A new thread, which stands before its first call."""
        actor = Actor(self, f"{self.name}: {name}", work)
        self.actors.append(actor)
        actor.begin()
        return actor

    def call(self, name: str, function: Callable[..., object], args: tuple[object, ...], kwargs: dict[str, object]) -> object:
        """Make the call as the test decides; threads that are no actors are let through."""
        actor = acting()
        how = How.MAKE if actor is None or name in _LOCAL else actor.stop(name)
        self.dead = self.dead or how is How.DIE_BEFORE
        if self.dead:
            raise Killed if actor else AWAY
        if how is How.FAIL:
            raise InfrastructureError("service", f"{name} failed")
        result = function(*args, **kwargs)
        if actor:
            self.made(actor, name, args)
        self.dead = how is How.DIE_AFTER
        if self.dead:
            raise Killed
        if how is How.LOSE_REPLY:
            raise InfrastructureError("service", f"the reply to {name} was lost")
        return result

    def die(self) -> None:
        """All its threads end where they stand."""
        self.dead = True
        for actor in self.living:
            while actor.call is not None:
                actor.step(How.MAKE)

    @property
    def living(self) -> list[Actor]:
        """Its threads that have not ended."""
        return [actor for actor in self.actors if actor.call is not None]


class ActingThread(threading.Thread):
    """Stands in for Thread where a worker starts one beside its task: it becomes an actor of the same process."""

    def start(self) -> None:
        """See threading.Thread."""
        actor = acting()
        if actor is None:
            super().start()
        else:
            actor.process.act(self.name, self.run)


def acting() -> Actor | None:
    """The actor whose thread this is."""
    return getattr(_acting, "actor", None)


_acting = threading.local()
