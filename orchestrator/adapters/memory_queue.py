"""The queue of task ids within one process."""

import queue


class MemoryQueue:
    """The Queue of one process, with the other end that RQ keeps for its workers."""

    def __init__(self) -> None:
        self._waiting: queue.SimpleQueue[str] = queue.SimpleQueue()

    def enqueue(self, task_id: str) -> None:
        """Put the task in line."""
        self._waiting.put(task_id)

    def take(self, timeout: float = 0.0) -> str | None:
        """The id that waited longest, or None when there is none within ``timeout`` seconds."""
        try:
            return self._waiting.get(block=timeout > 0, timeout=timeout)
        except queue.Empty:
            return None
