"""The rules of the model: what may happen, in any order."""

import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.model.judge import check, judge
from tests.model.model_site import Site
from tests.model.parts import HOSTS, PROGRAMS, SLOTS, Parts, still
from tests.model.settle import settle
from tests.support.baton import Actor, How

WORKERS = st.integers(0, len(SLOTS) - 1)
ANY = st.integers(0, 7)
NAMES = st.sampled_from([name for (name,) in PROGRAMS])
CALLS = st.runner().flatmap(lambda machine: st.sampled_from(machine.parts.calls))
FAULTS = st.runner().flatmap(lambda machine: st.sampled_from(machine.parts.faults))
NTH = st.runner().flatmap(lambda machine: st.integers(1, machine.parts.repeats))


class Protocol(RuleBasedStateMachine):
    """Tasks, workers, clients and their faults. ``at_once``: a started thread runs to its end before the others."""

    parts = Parts()

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.holding = ExitStack()
        self.holding.enter_context(still(self.parts))
        self.site = Site(self.folder, self.parts)
        self.fine = True
        self.thaw_first = False
        self.lost_host: str | None = None

    @initialize(
        program=NAMES,
        which=WORKERS,
        call=CALLS,
        nth=NTH,
        how=st.just(How.MAKE) | FAULTS,
        thaw_first=st.booleans(),
        lost_host=st.sampled_from([None, None, *HOSTS]),
    )
    def begin(self, program: str, which: int, call: str, nth: int, how: How, thaw_first: bool, lost_host: str | None) -> None:  # noqa: FBT001
        """A task is handed in and taken up, and something happens on the way or it just gets there."""
        self.thaw_first, self.lost_host = thaw_first, lost_host
        self.site.finish(self.site.submit(program))
        self.site.deliver(self.site.workers[which])
        self._wrong(self.site.actors[0], call, nth, how)

    @precondition(lambda self: len(self.site.tasks) < 2)
    @rule(program=NAMES, at_once=st.booleans())
    def submit(self, program: str, at_once: bool) -> None:  # noqa: FBT001
        """A client hands in another task."""
        self._perhaps(self.site.submit(program), at_once)

    @precondition(lambda self: self.site.actors)
    @rule(which=ANY, times=st.integers(1, 12))
    def go_on(self, which: int, times: int) -> None:
        """A thread makes some calls; the others are frozen."""
        actor = self._actor(which)
        for _ in range(times):
            self._step(actor)

    @precondition(lambda self: self.site.actors)
    @rule(which=ANY, call=CALLS)
    def go_to(self, which: int, call: str) -> None:
        """A thread goes on until it stands before a certain call, or has ended."""
        self._to(self._actor(which), call)

    @precondition(lambda self: self.site.actors)
    @rule(which=ANY, how=FAULTS)
    def go_wrong(self, which: int, how: How) -> None:
        """A call fails, or the process dies there."""
        self._step(self._actor(which), how)

    @precondition(lambda self: self.site.actors)
    @rule(which=ANY, call=CALLS, nth=NTH, how=FAULTS)
    def go_wrong_at(self, which: int, call: str, nth: int, how: How) -> None:
        """A certain call fails."""
        self._wrong(self._actor(which), call, nth, how)

    @rule(which=WORKERS)
    def deliver(self, which: int) -> None:
        """A worker takes the next entry from the queue."""
        self.site.deliver(self.site.workers[which])

    @rule(which=WORKERS, task=ANY)
    def take_over(self, which: int, task: int) -> None:
        """All leases run out, and a worker adopts a task."""
        self.site.world.expire_leases()
        self._step(self.site.run(self.site.workers[which], self._task(task)))

    @rule(which=WORKERS, at_once=st.booleans())
    def sweep(self, which: int, at_once: bool) -> None:  # noqa: FBT001
        """A worker sweeps."""
        self._perhaps(self.site.sweep(self.site.workers[which]), at_once)

    @rule(which=WORKERS, at_once=st.booleans())
    def beat(self, which: int, at_once: bool) -> None:  # noqa: FBT001
        """A worker's heart beats."""
        self._perhaps(self.site.beat(self.site.workers[which]), at_once)

    @rule(which=ANY, at_once=st.booleans())
    def cancel(self, which: int, at_once: bool) -> None:  # noqa: FBT001
        """A client asks for a task to be cancelled."""
        self._perhaps(self.site.cancel(self._task(which)), at_once)

    @rule(which=WORKERS)
    def kill(self, which: int) -> None:
        """A worker is killed where it stands, and another one started in its place."""
        self.site.kill(self.site.workers[which])

    @rule(which=WORKERS)
    def redeploy(self, which: int) -> None:
        """A worker is told to leave at once."""
        self.site.redeploy(self.site.workers[which])

    @rule()
    def leases_run_out(self) -> None:
        """Nobody renewed them."""
        self.site.world.expire_leases()

    @rule()
    def engines_are_given_up(self) -> None:
        """The patience with an engine without workers is over."""
        self.site.give_up_engines()

    @rule(which=ANY)
    def enqueue_again(self, which: int) -> None:
        """The queue delivers twice."""
        self.site.world.queue.enqueue(self._task(which))

    @rule()
    def empty_the_queue(self) -> None:
        """Redis came back without its data."""
        while self.site.world.queue.take() is not None:
            pass

    @rule(which=ANY)
    def lose_the_container(self, which: int) -> None:
        """Somebody removes it."""
        self.site.lose_container(self._task(which))

    @rule(mask=st.integers(0, 255))
    def listen(self, mask: int) -> None:
        """Somebody subscribes; of what is published some is lost to them."""
        self.site.inboxes.append((len(self.site.world.published), mask))

    @invariant()
    def hold(self) -> None:
        """What holds at any time."""
        self.fine = False
        check(self.site)
        self.fine = True

    def teardown(self) -> None:
        """Let everything settle, then judge."""
        try:
            if self.fine:
                settle(self.site, thaw_first=self.thaw_first, lost_host=self.lost_host)
                judge(self.site)
        finally:
            self.site.close()
            self.holding.close()
            shutil.rmtree(self.folder, ignore_errors=True)

    def _task(self, which: int) -> str:
        return self.site.tasks[which % len(self.site.tasks)]

    def _actor(self, which: int) -> Actor:
        return self.site.actors[which % len(self.site.actors)]

    def _perhaps(self, actor: Actor, at_once: bool) -> None:  # noqa: FBT001
        if at_once:
            self.site.finish(actor)

    def _to(self, actor: Actor, call: str) -> None:
        while actor.call not in {call, None}:
            self._step(actor)

    def _wrong(self, actor: Actor, call: str, nth: int, how: How) -> None:
        self._to(actor, call)
        for _ in range(nth - 1):
            self._step(actor)
            self._to(actor, call)
        if how is not How.MAKE:
            self._step(actor, how)

    def _step(self, actor: Actor, how: How = How.MAKE) -> None:
        if actor.call is not None:
            self.site.step(actor, how)
            self.hold()


def protocol(parts: Parts = Parts()) -> type[RuleBasedStateMachine]:  # noqa: B008  frozen
    """The model of workers that are made of ``parts``."""
    return type("Protocol", (Protocol,), {"parts": parts})
