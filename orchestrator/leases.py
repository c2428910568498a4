"""Claims tasks for this process and keeps the claims alive, with one heartbeat for all of them."""

import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from attrs import frozen
from loguru import logger

from orchestrator.errors import InfrastructureError
from orchestrator.patience import Patience
from orchestrator.ports import TaskStore
from orchestrator.task import Document


@frozen
class Held:
    """A claimed task: the token that fences off earlier holders, and the document as it was when it was claimed."""

    token: str
    document: Document


class Leases:
    """The leases of one process. The heartbeat starts with the first claim, so a forked child gets its own."""

    def __init__(self, store: TaskStore, worker: str, ttl: float, patience: Patience) -> None:
        self._store = store
        self._worker = worker
        self._ttl = ttl
        self._patience = patience
        self._tokens: dict[str, str] = {}
        self._lock = threading.Lock()
        self._beating: threading.Thread | None = None

    @contextmanager
    def hold(self, task_id: str) -> Iterator[Held | None]:
        """Claim the task for the length of the block, however long the store is away; None when it is not to be had.

        A block that raises frees the lease, so that another worker can go on at once.
        """
        token = uuid.uuid4().hex
        document = self._patience.forever(self._store.claim, task_id, self._worker, token, self._ttl)
        if document is None:
            yield None
            return
        self._add(task_id, token)
        try:
            yield Held(token, document)
        except BaseException:
            self._let_go(task_id, token)
            raise
        finally:
            self._drop(task_id, token)

    def _add(self, task_id: str, token: str) -> None:
        with self._lock:
            self._tokens[task_id] = token
            if self._beating is None:
                self._beating = threading.Thread(target=self._beat, name="lease heartbeat", daemon=True)
                self._beating.start()

    def _drop(self, task_id: str, token: str) -> None:
        with self._lock:
            if self._tokens.get(task_id) == token:
                del self._tokens[task_id]

    def _let_go(self, task_id: str, token: str) -> None:
        try:
            self._store.let_go(task_id, token)
        except InfrastructureError as error:
            logger.warning("the lease is left to expire: {}", error)

    def _beat(self) -> None:
        pause = threading.Event()
        period = self._ttl / 3
        while not pause.wait(period):
            period = self._ttl / 3
            with self._lock:
                tokens = dict(self._tokens)
            try:
                held = self._store.renew(tokens, self._ttl) if tokens else frozenset()
            except InfrastructureError as error:
                logger.warning("leases not renewed: {}", error)
                period = self._ttl / 10
                continue
            for task_id in tokens.keys() - held:
                logger.bind(task=task_id).warning("lease lost: later writes will be refused")
                self._drop(task_id, tokens[task_id])
