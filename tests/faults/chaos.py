"""One fault at a time, at random, to an installation whose servers are behind proxies and whose engine is its own."""
# ruff: noqa: S311  chance need not be secure here

import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from attrs import define, evolve, field, frozen
from docker.errors import APIError

from orchestrator.adapters.redis.client import redis_client
from orchestrator.task.labels import DEPLOYMENT, TASK
from tests.faults.disk import small_disk
from tests.support import pace
from tests.support.fault_detour import Detour, detoured
from tests.support.fault_dockerd import Dockerd
from tests.support.fault_nursery import Child
from tests.support.fault_programs import Program, flood, sleeper, stubborn, talker
from tests.support.fault_proxy import http_error
from tests.support.fault_site import Site
from tests.support.servers import Corner

_DISK = 16
"""Megabytes of the disk for the spool."""
_STARTING = pace.seconds(2.0)
"""Seconds within which a container that is being started runs."""


@frozen
class Place:
    """What faults are done to: all ways, the engine behind one of them, and the disk that is spooled on."""

    detour: Detour
    engine: Dockerd
    disk: Path


@contextmanager
def place(corner: Corner, folder: Path) -> Iterator[Place]:
    """For the length of a block."""
    with ExitStack() as stack:
        disk = stack.enter_context(small_disk(folder / "disk", _DISK))
        engine = stack.enter_context(Dockerd("--live-restore"))
        spooling = evolve(corner, environment={**corner.environment, "SPOOL_DIR": str(disk / "spool")})
        yield Place(stack.enter_context(detoured(spooling, folder, engine.host)), engine, disk)


@define
class Chaos:
    """Does one fault at a time; ``done`` counts them by name, ``cancelled`` are the tasks that somebody cancelled."""

    place: Place
    workers: list[Child]
    tasks: list[str] = field(factory=list)
    cancelled: set[str] = field(factory=set)
    done: Counter[str] = field(factory=Counter)

    def strike(self) -> None:
        """Any of them."""
        fault = random.choice(self._faults())
        self.done[fault.__name__.replace("_", " ")] += 1
        fault()

    def _faults(self) -> list[Callable[[], None]]:
        """Those with several kinds stand twice."""
        once = [self.kill, self.freeze, self.hand_over, self.restart_engine, self.empty_redis, self.fill_disk, self.hang_stats]
        return [*once, self.remove, self.cancel, self.deliver_again, *[self.outage, self.lie] * 2]

    def kill(self) -> None:
        """SIGKILL for one worker."""
        self._replace(lambda worker: worker.signal(signal.SIGKILL))

    def hand_over(self) -> None:
        """Two SIGTERMs for one worker."""

        def leave(worker: Child) -> None:
            worker.signal(signal.SIGTERM)
            time.sleep(1.2)
            worker.signal(signal.SIGTERM)

        self._replace(leave)

    def freeze(self) -> None:
        """One worker past its lease."""
        worker = random.choice(self.workers)
        worker.signal(signal.SIGSTOP)
        time.sleep(12)
        worker.signal(signal.SIGCONT)

    def restart_engine(self) -> None:
        """The engine is stopped or killed, and started again; with live-restore, so that programs live on.

        Not while it starts a container: an engine that dies then leaves a process behind that nobody ever ends.
        """
        way = self.place.detour.docker
        way.stall()
        time.sleep(_STARTING)
        self.place.engine.stop(random.choice((signal.SIGTERM, signal.SIGKILL)))
        time.sleep(random.uniform(0, 3))
        self.place.engine.start()
        way.flow()

    def empty_redis(self) -> None:
        """Redis forgets everything, as one that is restarted without its data does."""
        with redis_client(self._site.settings) as redis:
            redis.flushdb()

    def fill_disk(self) -> None:
        """The disk that output is spooled on is full for some seconds."""
        ballast = self.place.disk / "ballast"
        with suppress(OSError), ballast.open("wb", buffering=0) as file:
            while file.write(bytes(1 << 16)):
                pass
        time.sleep(random.uniform(1, 5))
        ballast.unlink()

    def hang_stats(self) -> None:
        """The next streams of statistics say nothing for a while."""
        self.place.detour.docker.add(rb"^GET \S+/stats", times=3, stall_reply=10.0)

    def outage(self) -> None:
        """One server, or the engine, is away or silent for some seconds."""
        way = random.choice(self.place.detour.ways)
        begin, end = random.choice(((way.go_down, way.come_up), (way.stall, way.flow)))
        begin()
        time.sleep(random.uniform(1, 8))
        end()

    def lie(self) -> None:
        """The next requests to one of them are answered with an error, cut, or their reply is lost."""
        way = random.choice(self.place.detour.ways)
        pattern = rb"^[A-Z]+ /" if way in {self.place.detour.docker, self.place.detour.s3} else rb"."
        ways: list[dict[str, object]] = [{"cut": True}, {"lose_reply": True}]
        if pattern != rb".":
            ways.append({"answer": http_error(500)})
        way.add(pattern, times=random.randint(1, 5), skip=random.randint(0, 20), **random.choice(ways))

    def remove(self) -> None:
        """Somebody removes one of the site's containers."""
        ours = {"label": f"{DEPLOYMENT}={self._site.services.deployment}"}
        if found := self._site.docker.containers.list(all=True, ignore_removed=True, filters=ours):
            hit = random.choice(found)
            self._site.removed.add(hit.labels[TASK])
            with suppress(APIError):  # its worker was faster
                hit.remove(force=True)

    def cancel(self) -> None:
        """Somebody cancels a task, whatever its state."""
        task_id = random.choice(self.tasks)
        self.cancelled.add(task_id)
        self._site.client.cancel(task_id)

    def deliver_again(self) -> None:
        """A task that was handed in is in line once more, whatever its state."""
        self._site.services.queue.enqueue(random.choice(self.tasks))

    def may_end(self, task_id: str) -> set[str]:
        """The causes of a failure that the faults give a task: each may have been struck by an outage that lasted too long."""
        asked = {"cancelled"} if task_id in self.cancelled else set()
        gone = {"container_lost", "signal"} if task_id in self._site.removed else set()
        return {"infrastructure", "upload", *asked, *gone}

    def calm(self) -> None:
        """No faults from here on."""
        for way in self.place.detour.ways:
            way.rules.clear()
            way.come_up()
            way.flow()

    def _replace(self, end: Callable[[Child], object]) -> None:
        worker = self.workers.pop(random.randrange(len(self.workers)))
        end(worker)
        worker.dead()
        name = f"soak-{len(self._site.nursery.children)}"
        self.workers.append(self._site.nursery.fork(self._site.environment, name))

    @property
    def _site(self) -> Site:
        return self.place.detour.site


def any_task(site: Site) -> str:
    """Hand in a task of any kind: most are small and succeed."""
    program, request = random.choice(
        [
            (sleeper(60, "timed_out", "timeout"), {"limits": {"timeout": 1}}),
            (evolve(stubborn(), status="timed_out", cause="timeout"), {"limits": {"timeout": 1}}),
            (talker(random.uniform(0.2, 2), code=3), {"retries": random.randint(0, 1)}),
            (Program("", b"", b"", "failed", "image"), {"image": "orchestrator-nowhere:9"}),
            (flood(random.randint(10_000, 500_000)), {"files": {"a": "b"}}),
            *[(talker(random.uniform(0.2, 3)), {})] * 5,
        ]
    )
    return site.submit(program, **request)
