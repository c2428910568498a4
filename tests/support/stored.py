"""Documents and moves for tests of the task stores, and a way to do something from many threads at once."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier

from orchestrator.errors import OrchestratorError
from orchestrator.ports import Move, TaskStore
from orchestrator.task.document import Task
from orchestrator.task.values import Entry
from statemachine import State, Trigger

NOON = datetime(2030, 5, 17, 12, 0, 0, 123000, tzinfo=UTC)
TTL = 60.0
EXPIRED = -1.0
THREADS = 16


def queued(task_id: str = "t1", **fields: object) -> dict[str, object]:
    """A document as a client inserts it."""
    return {"_id": task_id, "image": "busybox", "status": "queued", "seq": 0, "created_at": NOON, **fields}


def move(token: str = "one", seq: int = 1, task_id: str = "t1", **fields: object) -> Move:
    """The ``seq``-th move of a task that succeeds."""
    trigger, source, status = [
        (Trigger.START, State.QUEUED, State.RUNNING),
        (Trigger.WAIT, State.RUNNING, State.COLLECTING),
        (Trigger.COLLECT, State.COLLECTING, State.UPLOADING),
        (Trigger.UPLOAD, State.UPLOADING, State.SUCCEEDED),
    ][seq - 1]
    return Move(task_id, token, Entry(seq, trigger, source, status, NOON + timedelta(seconds=seq)), fields)


def finished(store: TaskStore) -> None:
    """Bring t1 to its end, held with the token "one"."""
    store.insert(queued())
    store.claim("t1", "worker", "one", TTL)
    for seq in range(1, 5):
        store.advance(move(seq=seq))


def stored(store: TaskStore, task_id: str = "t1") -> Task:
    """The task as it can be read back."""
    document = store.find(task_id)
    assert document is not None
    return Task.from_document(document)


def race(attempt: Callable[[int], object]) -> list[object]:
    """What ``attempt`` returns or raises, called with 0, 1, … from many threads at once."""
    barrier = Barrier(THREADS)

    def start(number: int) -> object:
        barrier.wait()
        try:
            return attempt(number)
        except OrchestratorError as error:
            return error

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(start, range(THREADS)))
