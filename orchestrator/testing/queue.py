"""The queue of task ids within one process."""

import json
import threading
import time
from collections import deque
from collections.abc import Sequence

from orchestrator.ports import JobInfo, QueueDepth, QueueHead, WorkerRecord

NOTHING = JobInfo()


class MemoryQueue:
    """The Queue of one process, with the other end that RQ keeps for its workers."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[str, str, float]] = deque()
        self.known: list[WorkerRecord] = []
        """What ``records`` says: in one process nobody writes it but a test."""
        self._arrived = threading.Condition()
        self._taking = 0

    def enqueue(self, task_id: str, info: JobInfo = NOTHING) -> None:
        """Put the task in line. Raises TypeError for an id that is no JSON, as RQ does."""
        json.dumps(task_id)
        with self._arrived:
            self._waiting.append((task_id, info.deployment, time.monotonic()))
            self._arrived.notify()

    def first(self, limit: int, deployment: str = "") -> QueueHead:
        """Those in line; one that takes an entry out here is not waited for."""
        with self._arrived:
            seen = list(self._waiting)[:limit]
            ours = frozenset(task_id for task_id, other, _ in seen if not (other and deployment and other != deployment))
            return QueueHead(ours, whole=len(self._waiting) <= limit)

    def depth(self) -> QueueDepth:
        """Those in line, and the age of the first."""
        with self._arrived:
            oldest = time.monotonic() - self._waiting[0][2] if self._waiting else None
            return QueueDepth(len(self._waiting), oldest)

    def workers(self) -> int:
        """How many wait for an entry now."""
        return self._taking

    def records(self) -> Sequence[WorkerRecord]:
        """What was put there."""
        return sorted(self.known, key=lambda record: record.name)

    def take(self, timeout: float = 0.0) -> str | None:
        """The id that waited longest, or None when there is none within ``timeout`` seconds."""
        with self._arrived:
            self._taking += 1
            self._arrived.wait_for(lambda: self._waiting, timeout)
            self._taking -= 1
            return self._waiting.popleft()[0] if self._waiting else None
