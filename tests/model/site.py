"""Several workers on two hosts, moved call by call; what was observed on the way, and what has to hold of it."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import chain, repeat
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

from attrs import define, evolve, field, frozen

from orchestrator.adapters.memory_engine import FOREVER, MemoryEngine, Program
from orchestrator.adapters.memory_store import MemoryTaskStore
from orchestrator.cause import Cause
from orchestrator.client import Client
from orchestrator.event import Event
from orchestrator.leases import Leases
from orchestrator.ledger import Ledger
from orchestrator.ports import Move, Phase, Stream
from orchestrator.run import named
from orchestrator.services import Services
from orchestrator.settings import Settings
from orchestrator.sweep import Sweep
from orchestrator.task import Task
from statemachine import TERMINAL, State
from tests.support.baton import ActingThread, Actor, How, Puppet
from tests.support.faults import Killed
from tests.support.world import Clock, World

HOSTS = ("a", "b")
SLOTS = ("a", "a", "b")
"""On which host each of the workers is."""
_FEW = 600
_ROUNDS = 12
_NEVER = 1e6
PROGRAMS = {
    ("good",): Program(stdout=b"out", stderr=b"err", seconds=1),
    ("bad",): Program(stdout=b"out", exit_code=3),
    ("endless",): evolve(FOREVER, stdout=b"so far"),
}
OWN_END = {
    ("good",): (State.SUCCEEDED, None),
    ("bad",): (State.FAILED, Cause.EXIT),
    ("endless",): (State.TIMED_OUT, Cause.TIMEOUT),
}


class PacedLeases(Leases):
    """Leases whose heartbeat beats when the test says so."""

    def _beat(self) -> None:
        """Leave it to the test."""

    def beat(self) -> None:
        """Whatever the time."""
        self._renewed_at = -_NEVER
        super().beat()


@frozen
class Parts:
    """What a site is made of; each part can be replaced by a broken one. ``calls`` are those at which threads stand or fail."""

    store: Callable[[Clock], MemoryTaskStore] = MemoryTaskStore
    engine: Callable[..., MemoryEngine] = MemoryEngine
    ledger: type[Ledger] = Ledger
    sweep: type[Sweep] = Sweep
    leases: type[Leases] = PacedLeases
    calls: tuple[str, ...] = (
        "claim",
        "create",
        "renew",
        "start",
        "advance",
        "wait",
        "publish",
        "put",
        "remove",
        "settle",
        "stop",
        "find",
    )
    repeats: int = 4
    faults: tuple[How, ...] = (How.FAIL, How.LOSE_REPLY, How.DIE_BEFORE, How.DIE_AFTER)


@define(eq=False)
class Worker:
    """One worker process."""

    puppet: Puppet
    services: Services
    host: str


@define
class Seen:
    """What was observed and is no longer to be found in the store."""

    ends: dict[str, Task] = field(factory=dict)
    cancelled: dict[str, tuple[State, int]] = field(factory=dict)
    lost: set[str] = field(factory=set)
    started_late: set[str] = field(factory=set)
    holders: dict[str, str] = field(factory=dict)
    late: list[Move] = field(factory=list)
    faults: int = 0
    given_up: bool = False


class Site:
    """The workers, and all that can happen to them. Every method leaves all threads standing or ended."""

    def __init__(self, folder: Path, parts: Parts) -> None:
        settings = Settings(retry_budget=0.3, upload_budget=0.3, orphan_grace=-1.0)
        self.world = World(folder, PROGRAMS, HOSTS, parts.store, parts.engine, settings)
        self.parts = parts
        self.seen = Seen()
        self.steps = 0
        self.tasks: list[str] = []
        self.inboxes: list[tuple[int, int]] = []
        self.puppets: list[Puppet] = []
        self.workers = [self._worker(host) for host in SLOTS]

    def _puppet(self, name: str) -> Puppet:
        self.puppets.append(Puppet(f"{name} {len(self.puppets)}", self._made))
        return self.puppets[-1]

    def _worker(self, host: str) -> Worker:
        puppet = self._puppet(f"worker on {host}")
        services = self.world.process(puppet, puppet.name, host)
        return Worker(puppet, services, host)

    @property
    def actors(self) -> list[Actor]:
        """All threads that stand before a call."""
        return [actor for puppet in self.puppets for actor in puppet.living]

    def submit(self, program: str) -> Actor:
        """A client hands in a task; it is a process that may die half-way."""
        task_id = f"t{len(self.tasks) + 1}"
        self.tasks.append(task_id)
        request = {"image": "busybox", "command": [program], "retries": int(program == "bad")}
        return self._act(
            self._worker("a"), f"submit {task_id}", lambda worker: Client(worker.services).submit(request, task_id)
        )

    def cancel(self, task_id: str) -> Actor:
        """A client asks for a cancellation."""
        return self._act(self._worker("b"), f"cancel {task_id}", lambda worker: Client(worker.services).cancel(task_id))

    def deliver(self, worker: Worker) -> bool:
        """The worker takes the next entry; False when there is none."""
        task_id = self.world.queue.take()
        if task_id is not None:
            self.run(worker, task_id)
        return task_id is not None

    def run(self, worker: Worker, task_id: str, engine: str | None = None) -> Actor:
        """The worker runs the task in a thread of its own."""
        return self._act(worker, f"run {task_id}", lambda worker: worker.services.runner.run(task_id, engine))

    def sweep(self, worker: Worker) -> Actor:
        """The worker sweeps, and runs what it adopts beside it."""
        return self._act(worker, "sweep", lambda worker: worker.services.sweep(partial(self.run, worker)).once(30))

    def beat(self, worker: Worker) -> Actor:
        """The worker's heartbeat."""
        return self._act(worker, "beat", lambda worker: worker.services.runner.leases.beat())

    def redeploy(self, worker: Worker) -> Actor:
        """It was told to stop for the second time."""
        return self._act(worker, "hand over", self._hand_over)

    @staticmethod
    def _hand_over(worker: Worker) -> None:
        worker.services.runner.leases.hand_over()
        worker.puppet.dead = True

    def _act(self, worker: Worker, name: str, work: Callable[[Worker], object]) -> Actor:
        actor = worker.puppet.act(name, lambda: work(worker))
        if worker.puppet.dead:
            self._bury(worker.puppet)
        return actor

    def step(self, actor: Actor, how: How) -> None:
        """One call, and what it leads to."""
        self.steps += 1
        self.seen.faults += how is not How.MAKE
        actor.step(how)
        if actor.process.dead:
            self._bury(actor.process)

    def kill(self, worker: Worker) -> None:
        """SIGKILL."""
        self._bury(worker.puppet)

    def _bury(self, puppet: Puppet) -> None:
        puppet.die()
        self.workers = [self._worker(worker.host) if worker.puppet is puppet else worker for worker in self.workers]

    def finish(self, actor: Actor) -> None:
        """Let it run to its end; the threads that it starts stay."""
        for _ in range(_FEW):
            if actor.call is None:
                return
            self.step(actor, How.MAKE)
        raise AssertionError(f"{actor.name} goes round in circles before {actor.call}")

    def lose_container(self, task_id: str) -> None:
        """Somebody removes the container of a task whose program is known to have started."""
        task = self.task(task_id)
        if task and task.status in {State.RUNNING, State.COLLECTING} and task.container:
            self.seen.lost.add(task_id)
            self.world.engines[task.container.engine].remove(task.container.name)

    def give_up_engines(self) -> None:
        """Whoever waited for the workers of an engine has waited long enough."""
        self.seen.given_up = True
        self.world.clock.advance(self.world.settings.engine_patience + self.world.settings.lease_ttl + 1)

    def task(self, task_id: str) -> Task | None:
        """As stored."""
        document = self.world.services.store.find(task_id)
        return Task.from_document(document) if document else None

    @property
    def stored(self) -> list[Task]:
        """Every task that is."""
        return [task for task_id in self.tasks if (task := self.task(task_id))]

    def _made(self, actor: Actor, call: str, args: tuple[object, ...]) -> None:
        if call == "claim":
            actor.began = self.steps
            task = self.task(str(args[0]))
            if task and task.lease and task.lease.token == args[2]:
                self.seen.holders[task.id] = str(args[2])
        elif call == "advance" and isinstance(move := args[0], Move):
            if self.seen.holders.get(move.task_id) != move.token:
                self.seen.late.append(move)
        elif call == "request_cancel":
            task = self.task(str(args[0]))
            if task and task.cancel_requested_at and task.id not in self.seen.cancelled:
                self.seen.cancelled[task.id] = (task.status, self.steps)
        elif call == "start" and (owner := named(str(args[0]).partition("#")[0])):
            status, at = self.seen.cancelled.get(owner[0], (State.RUNNING, 0))
            if status is State.QUEUED and at < actor.began:
                self.seen.started_late.add(owner[0])

    def check(self) -> None:
        """What holds at any time."""
        for actor in (actor for puppet in self.puppets for actor in puppet.actors):
            quiet = (
                actor.error is None or isinstance(actor.error, Killed) or not actor.name.partition(": ")[2].startswith("run")
            )
            assert quiet, f"{actor.name} raised {actor.error!r}"
        for task in self.stored:
            self._check(task)
        starts = [engine.starts for engine in self.world.engines.values()]
        for name in set().union(*starts):
            times = sum(started.get(name, 0) for started in starts)
            assert times <= 1, f"the program of {name} was started {times} times"
        for engine in self.world.engines.values():
            running = [found.plan.name for found in engine._containers.values() if found.state.phase is Phase.RUNNING]
            tasks = [named(name) for name in running]
            assert len(running) == len({task[0] for task in tasks if task}), f"two attempts at once: {running}"
        assert not self.seen.late, f"stored although somebody else had the task: {self.seen.late}"
        assert not self.seen.started_late, f"cancelled while queued, and yet started: {self.seen.started_late}"

    def _check(self, task: Task) -> None:
        assert [entry.seq for entry in task.history] == list(range(1, task.seq + 1)), f"seq has gaps: {task.history}"
        path = [State.QUEUED, *(entry.status for entry in task.history)]
        assert [entry.source for entry in task.history] == path[:-1], f"the history is broken: {task.history}"
        assert task.status is path[-1], "the status is not that of the last row"
        if task.status in TERMINAL:
            bare = evolve(task, published=0, settled=False, lease=None)
            assert self.seen.ends.setdefault(task.id, bare) == bare, f"an end was changed: {task}"

    def settle(self, *, thaw_first: bool, lost_host: str | None) -> None:
        """No more faults: workers come and go until nothing is left to do. Threads that stand go on before or after."""
        if thaw_first:
            self._thaw()
        if lost_host:
            self.give_up_engines()
            self._work([host for host in HOSTS if host != lost_host])
        self._work(HOSTS)
        self.check()
        self._thaw()
        self._work(HOSTS)
        self.check()

    def _thaw(self) -> None:
        while self.actors:
            self.finish(self.actors[0])

    def _work(self, hosts: Sequence[str]) -> None:
        standing = set(self.actors)
        for _ in range(_ROUNDS):
            self.world.expire_leases()
            for worker in map(self._worker, hosts):
                self.sweep(worker)
                while self.deliver(worker):
                    pass
                while fresh := [actor for actor in self.actors if actor not in standing]:
                    self.finish(fresh[0])
            if self._is_calm(hosts):
                return

    def _is_calm(self, hosts: Sequence[str]) -> bool:
        left = [name for host in hosts for name in self.world.engines[host].containers]
        return not left and all(task.settled and task.status in TERMINAL for task in self.stored)

    def judge(self) -> None:
        """What holds once nothing is left to do."""
        for task in self.stored:
            assert task.status in TERMINAL, f"it never ended: {task}"
            assert task.settled, f"its end was never settled: {task}"
            self._judge_events(task)
            self._judge_end(task)
            self._judge_log(task)
        for host, engine in self.world.engines.items():
            assert not engine.containers, f"left on {host}: {engine.containers}"
            left = [path.name for path in (self.world.settings.spool_dir / host).rglob("*") if path.is_file()]
            assert not left, f"left in the spool of {host}: {left}"

    def _judge_events(self, task: Task) -> None:
        expected = Event.all_of(task)
        heard = [event for event in self.world.published if event.task_id == task.id and event.seq]
        assert list(dict.fromkeys(heard)) == expected[1:], "what was published is not what is stored"
        for start, mask in self.inboxes:
            inbox = [event for number, event in enumerate(self.world.published[start:]) if not mask >> (number % 8) & 1]
            bus = _Replay([event for event in inbox if event.task_id == task.id])
            seen = list(Client(_with(self.world.services, bus)).watch(task.id))
            assert seen == expected, f"a subscriber saw {seen}"

    def _judge_end(self, task: Task) -> None:
        own = OWN_END[tuple(task.request["command"])]
        status, _ = self.seen.cancelled.get(task.id, (None, 0))
        end = (task.status, task.cause)
        if status in {State.QUEUED, State.RUNNING}:
            assert end == (State.FAILED, Cause.CANCELLED), f"cancelled while {status}, but ended as {end}: {task.message}"
            return
        allowed = {own}
        allowed |= {(State.FAILED, Cause.CANCELLED)} if status else set()
        allowed |= {(State.FAILED, Cause.INFRASTRUCTURE)} if self.seen.faults or self.seen.given_up else set()
        allowed |= {(State.FAILED, Cause.UPLOAD)} if self.seen.faults else set()
        allowed |= {(State.FAILED, Cause.CONTAINER_LOST)} if task.id in self.seen.lost else set()
        assert end in allowed, f"{end} is not what became of it: {task.message}; {task.attempts}"

    def _judge_log(self, task: Task) -> None:
        program = PROGRAMS[tuple(task.request["command"])]
        if task.logs is None:
            assert task.cause in {Cause.CANCELLED, Cause.INFRASTRUCTURE, Cause.UPLOAD}, f"no log of {task}"
            return
        for stream, log in zip(Stream, (task.logs.stdout, task.logs.stderr), strict=True):
            stored = self.world.output(task, stream)
            whole = program.stdout if stream is Stream.STDOUT else program.stderr
            assert stored == whole or (log.truncated and task.id in self.seen.lost), f"{stream} is {stored!r}: {log}"

    def close(self) -> None:
        """End every thread."""
        for puppet in self.puppets:
            puppet.die()
        for engine in self.world.engines.values():
            for name in engine.containers:
                engine.remove(name)


class _Replay:
    """A bus that brings what one subscriber heard, and then nothing."""

    def __init__(self, inbox: list[Event]) -> None:
        self._inbox = inbox

    @contextmanager
    def subscribe(self, task_id: str | None) -> Iterator[Iterator[Event | None]]:  # noqa: ARG002
        """Once."""
        yield chain(self._inbox, repeat(None))


def _with(services: Services, bus: _Replay) -> Services:
    return Services(services.settings, services.store, bus, services.queue, services.logs, services.engine, services.mutex)


@contextmanager
def still(parts: Parts) -> Iterator[None]:
    """Workers are made of ``parts``; threads beside a task act when the test says so, or not at all; no clock runs."""
    acting = SimpleNamespace(Thread=ActingThread)
    stopped = SimpleNamespace(monotonic=lambda: 0.0, time=lambda: 0.0)
    with (
        patch("orchestrator.services.Leases", parts.leases),
        patch("orchestrator.services.Ledger", parts.ledger),
        patch("orchestrator.services.Sweep", parts.sweep),
        patch("orchestrator.runner.threading", acting),
        patch("orchestrator.effects.time", stopped),
        patch("orchestrator.capture._SETTLE", _NEVER),
        patch("orchestrator.capture._FIRST_SAMPLE", _NEVER),
    ):
        yield
