"""Claims tasks for this process and keeps the claims alive, with one heartbeat for all of them."""

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from attrs import define

from orchestrator.errors import InfrastructureError, Postponed, Superseded
from orchestrator.logs import logger
from orchestrator.patience import Patience
from orchestrator.ports import TaskStore
from orchestrator.records import Document

_LOOK = 1.0
_INPUT = 10.0
"""Seconds for which a hand-over waits for input that is being written."""


@define
class Held:
    """A claimed task: the token that fences off earlier holders, and the document as it was when it was claimed.

    ``on_cancel`` is called, from the heartbeat and perhaps more than once, when somebody asks for the task to be cancelled.
    ``catch_up`` publishes what is stored and could not be published; whether all is.
    ``cut_off`` waits at most so many seconds for the program's input; returns the id of the container that has not got all.
    ``end`` ends the program of a task that is held no more.
    """

    token: str
    document: Document
    on_cancel: Callable[[], None] = lambda: None
    catch_up: Callable[[], bool] = lambda: True
    cut_off: Callable[[float], str | None] = lambda _: None
    end: Callable[[], None] = lambda: None


class Leases:
    """The leases of one process. The heartbeat starts with the first claim, so a forked child gets its own."""

    def __init__(self, store: TaskStore, worker: str, ttl: float, patience: Patience) -> None:
        self._store = store
        self._worker = worker
        self._ttl = ttl
        self._patience = patience
        self._held: dict[str, Held] = {}
        self._lock = threading.Lock()
        self._beating: threading.Thread | None = None
        self._renewed_at = 0.0

    @contextmanager
    def hold(self, task_id: str, engine: str | None) -> Iterator[Held | None]:
        """Claim the task for the length of the block, however long the store is away; None when it is not to be had.

        A block that raises frees the lease, so that another worker can go on at once; after Postponed one on any engine. The
        lease of a task whose id cannot be hashed is not kept alive: its end is all there is to store.
        """
        token = uuid.uuid4().hex
        document = self._patience.forever(self._store.claim, task_id, self._worker, token, self._ttl, engine)
        if document is None:
            yield None
            return
        held = self._add(task_id, Held(token, document))
        try:
            yield held
        except BaseException as error:
            self.let_go(task_id, token, unbind=isinstance(error, Postponed))
            raise
        finally:
            self._drop(task_id, token)

    def confirm(self, task_id: str, token: str) -> None:
        """Extend the lease now, however long the store is away. Raises Superseded when somebody else has taken the task."""
        if task_id not in self._patience.forever(self._store.renew, {task_id: token}, self._ttl):
            raise Superseded(f"task {task_id} was taken over by another worker")

    def begin(self, task_id: str, token: str, container: str) -> None:
        """As ``confirm``, and store that the container is about to be started."""
        if not self._patience.forever(self._store.begin, task_id, token, container, self._ttl):
            raise Superseded(f"task {task_id} was taken over by another worker")

    def reset(self, task_id: str) -> None:
        """Strip a document that cannot be read or moved of all but its id, however long the store is away."""
        self._patience.forever(self._store.reset, task_id)

    def note_input(self, task_id: str, token: str, container: str) -> None:
        """Store that the engine has all of this container's input, however long the store is away."""
        self._patience.forever(lambda: self._store.note_input(task_id, token, container, whole=True))

    def hand_over(self) -> None:
        """Free all leases, so that other workers take the tasks up at once: this process is about to leave them.

        What is still being written to a program is waited for, ``_INPUT`` seconds for all together. A program whose input has
        to be cut off is ended, once it is nobody's: it would take what it got for all.
        """
        leaves = time.monotonic() + _INPUT
        for task_id, held in self._all().items():
            container = held.cut_off(max(leaves - time.monotonic(), 0))
            noted = container is not None and self._note_cut(task_id, held.token, container)
            self.let_go(task_id, held.token)
            self._drop(task_id, held.token)
            if noted:
                held.end()

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
        """Extend the leases that are due and pass on who is to be cancelled. Raises InfrastructureError."""
        held = self._all()
        if held:
            self._renew(held)
            for task_id in self._store.cancelled(held.keys()):
                held[task_id].on_cancel()

    def catch_up(self) -> None:
        """Publish what could not be of the tasks that are held, up to the first that still cannot. It may wait for Redis."""
        for task_id, held in self._all().items():
            with logger.contextualize(task=task_id):
                if not held.catch_up():
                    return

    @property
    def alive(self) -> bool:
        """Whether the heartbeat goes on, if it was ever needed."""
        return self._beating is None or self._beating.is_alive()

    @property
    def count(self) -> int:
        """How many tasks are held."""
        return len(self._held)

    def _add(self, task_id: str, held: Held) -> Held:
        if not _hashable(task_id):
            return held
        with self._lock:
            self._held[task_id] = held
            if self._beating is None:
                self._beating = threading.Thread(target=self._beat, name="lease heartbeat", daemon=True)
                self._beating.start()
        return held

    def _drop(self, task_id: str, token: str) -> None:
        with self._lock:
            if _hashable(task_id) and task_id in self._held and self._held[task_id].token == token:
                del self._held[task_id]

    def _all(self) -> dict[str, Held]:
        with self._lock:
            return dict(self._held)

    def let_go(self, task_id: str, token: str, *, unbind: bool = False) -> None:
        """Free one lease; when the store is away it is left to expire."""
        try:
            self._store.let_go(task_id, token, unbind=unbind)
        except InfrastructureError as error:
            logger.bind(task=task_id).warning("the lease is left to expire: {}", error)

    def _beat(self) -> None:
        pause = threading.Event()
        while not pause.wait(min(_LOOK, self._ttl / 3)):
            try:
                self.beat()
            except InfrastructureError as error:
                logger.warning("leases not renewed: {}", error)
            except Exception:  # noqa: BLE001  a fault of ours with one task must not let go of all others
                logger.exception("the heartbeat has a fault")

    def _renew(self, held: dict[str, Held]) -> None:
        """Extend the leases once a third of their time is over."""
        if time.monotonic() < self._renewed_at + self._ttl / 3:
            return
        began = time.monotonic()
        kept = self._store.renew({task_id: each.token for task_id, each in held.items()}, self._ttl)
        self._renewed_at = began
        for task_id in held.keys() - kept:
            logger.bind(task=task_id).warning("lease lost: later writes will be refused")
            self._drop(task_id, held[task_id].token)


def _hashable(task_id: object) -> bool:
    """Whoever inserted the task may have given it a document for an id, or a reference to one."""
    try:
        hash(task_id)
    except TypeError:
        return False
    return True
