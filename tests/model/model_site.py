"""Several workers on two hosts, moved call by call; what was observed on the way."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from orchestrator.client import Client
from orchestrator.execution.naming import container_name, named
from orchestrator.ports import Move
from orchestrator.settings.settings import Settings
from orchestrator.task.document import Task
from statemachine import State
from tests.model.parts import HOSTS, PROGRAMS, SLOTS, Parts, Seen, Worker
from tests.support.baton import Actor, How, Puppet
from tests.support.world import World

_FEW = 600


class Site:
    """The workers, and all that can happen to them. Every method leaves all threads standing or ended."""

    def __init__(self, folder: Path, parts: Parts) -> None:
        settings = Settings(retry_budget=0.3, upload_budget=0.3, orphan_grace=-1.0, spool_grace=-1.0)
        self.world = World(folder, PROGRAMS, HOSTS, parts.store, parts.engine, settings)
        self.parts = parts
        self.seen = Seen()
        self.steps = 0
        self.tasks: list[str] = []
        self.inboxes: list[tuple[int, int]] = []
        self.puppets: list[Puppet] = []
        self.workers = [self.worker(host) for host in SLOTS]

    def _puppet(self, name: str) -> Puppet:
        self.puppets.append(Puppet(f"{name} {len(self.puppets)}", self._made))
        return self.puppets[-1]

    def worker(self, host: str) -> Worker:
        """A process of its own."""
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
        return self._act(self.worker("a"), f"submit {task_id}", lambda worker: Client(worker.services).submit(request, task_id))

    def cancel(self, task_id: str) -> Actor:
        """A client asks for a cancellation."""
        return self._act(self.worker("b"), f"cancel {task_id}", lambda worker: Client(worker.services).cancel(task_id))

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
        return self._act(worker, "beat", self._beat)

    @staticmethod
    def _beat(worker: Worker) -> None:
        worker.services.runner.leases.beat()
        worker.services.runner.leases.hear()

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
        self.workers = [self.worker(worker.host) if worker.puppet is puppet else worker for worker in self.workers]

    def finish(self, actor: Actor) -> None:
        """Let it run to its end; the threads that it starts stay."""
        for _ in range(_FEW):
            if actor.call is None:
                return
            self.step(actor, How.MAKE)
        raise AssertionError(f"{actor.name} goes round in circles before {actor.call}")

    def lose_container(self, task_id: str) -> None:
        """Somebody removes the container of a task, whatever its program does."""
        task = self.task(task_id)
        name = container_name(task_id, max(task.attempt, 1) if task else 1)
        for engine in self.world.engines.values():
            if name in engine.containers:
                self.seen.lost.add(task_id)
                engine.remove(name, self.world.services.deployment)

    def give_up_engines(self) -> None:
        """The patience with an engine without workers is over."""
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

    def close(self) -> None:
        """End every thread."""
        for puppet in self.puppets:
            puppet.die()
        for engine in self.world.engines.values():
            for name in engine.containers:
                engine.remove(name, self.world.services.deployment)
