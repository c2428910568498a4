"""Claims tasks for this process and keeps the claims alive, with one heartbeat for all of them."""

import threading
import time
import uuid
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Protocol

from attrs import define, field

from orchestrator.errors import InfrastructureError, Postponed, Superseded
from orchestrator.log import logger
from orchestrator.metrics import declarations as metrics
from orchestrator.metrics.measurements import Measurements
from orchestrator.ports import TaskStore
from orchestrator.ports.documents import lease_of
from orchestrator.retrying import Retrier
from orchestrator.task.values import Document

_LOOK = 1.0
_TOLERATED = timedelta(seconds=5)
"""Clocks that differ by less are right."""
_INPUT = 10.0
"""Seconds for which a hand-over waits for input that is being written."""


class Holder(Protocol):
    """The runner of a claimed task, as the leases know it. Its methods are called by the threads of the leases."""

    def cancel(self) -> None:
        """Somebody asks for the task to be cancelled; perhaps said more than once."""

    def catch_up(self) -> bool:
        """Publish what is stored and could not be published; whether all is."""

    def cut_off(self, seconds: float) -> str | None:
        """Wait at most so many seconds for the program's input; the id of the container that has not got all."""

    def abandon(self) -> None:
        """End the program of a task that is held no more."""


@define(eq=False)
class HeldLease:
    """The lease of a claimed task: its token fences off earlier holders. ``document`` is the task as its holder knows it."""

    token: str
    document: Document
    until: float
    """Before this time, by the monotonic clock, nobody else can have the task: counted from before the lease was asked for."""
    ahead: timedelta = timedelta()
    """How far the database's clock is ahead of this host's, when one of them is wrong."""
    lost: threading.Event = field(factory=threading.Event)
    """Set once the store has said that somebody else has the task, or that it is gone."""
    holder: Holder | None = None
    """None until the document was read."""


class Leases:
    """The leases of one process. Its threads start with the first claim, so a forked child gets its own.

    One thread renews, in one round trip for all leases; another looks for cancellations, so that a database which answers
    slowly delays no renewal by that. No lease is given up because of the time: only the store's word counts.
    """

    def __init__(
        self,
        store: TaskStore,
        worker: str,
        ttl: float,
        retrier: Retrier,
        measured: Measurements | None = None,
        now: Callable[[], datetime] = partial(datetime.now, UTC),  # noqa: B008  a callable
    ) -> None:
        self._store = store
        self._now = now
        self._worker = worker
        self._ttl = ttl
        self._retrier = retrier
        self._measured = measured or Measurements()
        self._held: dict[str, HeldLease] = {}
        self._asked_for: set[str] = set()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []

    @contextmanager
    def hold(self, task_id: str, engine: str | None) -> Iterator[HeldLease | None]:
        """Claim the task for the length of the block, however long the store is away; None when it is not to be had.

        A block that raises frees the lease, so that another worker can go on at once; after Postponed one on any engine. The
        lease of a task whose id cannot be hashed is not kept alive: its end is all there is to store.
        """
        held = self._claim(task_id, engine)
        if held is None:
            yield None
            return
        try:
            yield held
        except BaseException as error:
            self.let_go(task_id, held.token, unbind=isinstance(error, Postponed))
            if isinstance(error, Superseded) and self._drop(task_id, held):  # else the renewal has counted it
                self._measured.count(metrics.LEASES_LOST)
            raise
        finally:
            self._drop(task_id, held)

    def holds(self, task_id: str) -> bool:
        """Whether this process has the task, as far as it knows."""
        return _hashable(task_id) and task_id in self._held

    def check(self, task_id: str, held: HeldLease) -> None:
        """Raise Superseded unless this process has the task: the store is asked when the lease may have run out.

        Raises InfrastructureError when the store is away then.
        """
        if not held.lost.is_set() and time.monotonic() >= held.until and _hashable(task_id):
            self._renew({task_id: held})
        if held.lost.is_set():
            raise Superseded(f"task {task_id} was taken over by another worker")

    def assure(self, task_id: str, held: HeldLease) -> None:
        """As ``check``, however long the store is away."""
        self._retrier.forever(self.check, task_id, held)

    def confirm(self, task_id: str, token: str) -> None:
        """Extend the lease now, however long the store is away. Raises Superseded when somebody else has taken the task."""
        if task_id not in self._retrier.forever(self._store.renew, {task_id: token}, self._ttl):
            raise Superseded(f"task {task_id} was taken over by another worker")

    def begin(self, task_id: str, token: str, container: str) -> None:
        """As ``confirm``, and store that the container is about to be started."""
        if not self._retrier.forever(self._store.begin, task_id, token, container, self._ttl):
            raise Superseded(f"task {task_id} was taken over by another worker")

    def reset(self, task_id: str) -> None:
        """Strip a document that cannot be read or moved of all but its id, however long the store is away."""
        self._retrier.forever(self._store.reset, task_id)

    def note_input(self, task_id: str, token: str, container: str) -> None:
        """Store that the engine has all of this container's input, however long the store is away."""
        self._retrier.forever(lambda: self._store.note_input(task_id, token, container, whole=True))

    def hand_over(self) -> None:
        """Free all leases, so that other workers take the tasks up at once: this process is about to leave them.

        What is still being written to a program is waited for, ``_INPUT`` seconds for all together. A program whose input has
        to be cut off is ended, once it is nobody's: it would take what it got for all.
        """
        leaves = time.monotonic() + _INPUT
        for task_id, held in self._all().items():
            holder = held.holder
            container = holder.cut_off(max(leaves - time.monotonic(), 0)) if holder else None
            noted = container is not None and self._note_cut(task_id, held.token, container)
            self._drop(task_id, held)  # first, or the heartbeat would call a lease lost that is given back
            self.let_go(task_id, held.token)
            if noted and holder:
                holder.abandon()

    def _note_cut(self, task_id: str, token: str, container: str) -> bool:
        """Whether it is stored. If not, the next holder takes this process for one that died."""
        logger.bind(task=task_id).warning("its program has not taken all of its input, and will be begun again")
        try:
            self._store.note_input(task_id, token, container, whole=False)
        except InfrastructureError as error:
            logger.bind(task=task_id).warning("that its input was cut off is not noted: {}", error)
            return False
        return True

    def beat(self) -> None:
        """Extend all leases once a third of the time of one is over. Raises InfrastructureError."""
        held = self._all()
        if held and time.monotonic() >= min(each.until for each in held.values()) - self._ttl * 2 / 3:
            self._renew(held)

    def hear(self) -> None:
        """Pass on who is to be cancelled. Raises InfrastructureError."""
        held = self._all()
        if not held:
            return
        for task_id in self._store.cancelled(held.keys()):
            if holder := held[task_id].holder:
                holder.cancel()

    def catch_up(self) -> None:
        """Publish what could not be of the tasks that are held, up to the first that still cannot. It may wait for Redis."""
        for task_id, held in self._all().items():
            with logger.contextualize(task=task_id):
                if held.holder and not held.holder.catch_up():
                    return

    @property
    def alive(self) -> bool:
        """Whether its threads go on, if they were ever needed."""
        return all(thread.is_alive() for thread in self._threads)

    @property
    def count(self) -> int:
        """How many tasks are held."""
        return len(self._held)

    @property
    def ids(self) -> frozenset[str]:
        """Which ones."""
        return frozenset(self._all())

    @property
    def busy(self) -> bool:
        """Whether a task is held or asked for; the database may take its time to answer."""
        return bool(self._held or self._asked_for)

    def _claim(self, task_id: str, engine: str | None) -> HeldLease | None:
        """A claim that took long may be about to run out, so it is renewed before anything else."""
        if self.holds(task_id):
            return None
        token, began, asked = uuid.uuid4().hex, 0.0, self._now()

        def claim() -> Document | None:
            nonlocal began, asked
            began, asked = time.monotonic(), self._now()
            return self._store.claim(task_id, self._worker, token, self._ttl, engine)

        self._asked_for.add(token)
        try:
            document = self._retrier.forever(claim)
            if document is None:
                return None
            held = HeldLease(token, document, began + self._ttl, self._ahead(document, asked))
            self._add(task_id, held)
        finally:
            self._asked_for.discard(token)
        if time.monotonic() >= began + self._ttl / 3 and _hashable(task_id):
            self._retrier.forever(self._renew, {task_id: held})
        return None if held.lost.is_set() else held

    def _ahead(self, document: Document, asked: datetime) -> timedelta:
        """By when the database lets the lease end. Small differences are the time that its answer took."""
        expires = lease_of(document).get("expires_at")
        ahead = expires - timedelta(seconds=self._ttl) - asked if isinstance(expires, datetime) else timedelta()
        return ahead if abs(ahead) > _TOLERATED else timedelta()

    def _add(self, task_id: str, held: HeldLease) -> None:
        if not _hashable(task_id):
            return
        with self._lock:
            self._held[task_id] = held
            if not self._threads:
                self._threads = self._turning()

    def _turning(self) -> list[threading.Thread]:
        """The threads that renew and listen, started."""
        me, pause = weakref.ref(self), min(_LOOK, self._ttl / 3)
        turns = {"lease heartbeat": "beat", "lease cancellations": "hear"}
        threads = [
            threading.Thread(target=_take_turns, args=(me, turn, pause), name=name, daemon=True) for name, turn in turns.items()
        ]
        for thread in threads:
            thread.start()
        return threads

    def _drop(self, task_id: str, held: HeldLease) -> bool:
        """Forget a task; whether it was held."""
        with self._lock:
            if _hashable(task_id) and self._held.get(task_id) is held:
                del self._held[task_id]
                return True
        return False

    def _all(self) -> dict[str, HeldLease]:
        with self._lock:
            return dict(self._held)

    def let_go(self, task_id: str, token: str, *, unbind: bool = False) -> None:
        """Free one lease; when the store is away it is left to expire."""
        try:
            self._store.let_go(task_id, token, unbind=unbind)
        except InfrastructureError as error:
            logger.bind(task=task_id).warning("the lease is left to expire: {}", error)

    def _renew(self, held: Mapping[str, HeldLease]) -> None:
        """Extend these leases; those that the store says are lost are dropped."""
        began = time.monotonic()
        with self._measured.timed(metrics.LEASE_RENEWAL):
            kept = self._store.renew({task_id: each.token for task_id, each in held.items()}, self._ttl)
        for task_id, each in held.items():
            if task_id in kept:
                each.until = max(each.until, began + self._ttl)
            else:
                each.lost.set()
                if self._drop(task_id, each):
                    self._measured.count(metrics.LEASES_LOST)
                    logger.bind(task=task_id).warning("lease lost: its holder lets go")


def _take_turns(leases: weakref.ref[Leases], turn: str, pause: float) -> None:
    """Until nobody has the leases any more: a program that makes many of them, such as a test, keeps no threads of each."""
    waiting = threading.Event()
    while not waiting.wait(pause) and (present := leases()) is not None:
        try:
            getattr(present, turn)()
        except InfrastructureError as error:
            logger.warning("leases not renewed, or cancellations not looked for: {}", error)
        except Exception:  # noqa: BLE001  a bug with one task must not let go of all others
            logger.exception("the heartbeat has a fault")
        del present


def _hashable(task_id: object) -> bool:
    """A foreign hand may have inserted the task with a document, or a reference to one, as its id."""
    try:
        hash(task_id)
    except TypeError:
        return False
    return True
