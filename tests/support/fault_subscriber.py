"""A subscriber that follows one task as a client would, and resyncs whenever Redis or MongoDB was away."""

import threading

from orchestrator.client import Client
from orchestrator.errors import InfrastructureError
from orchestrator.event import Event


class Subscriber:
    """Follows a task from its beginning in a thread of its own."""

    def __init__(self, client: Client, task_id: str) -> None:
        self.events: list[Event] = []
        self._client, self._task_id = client, task_id
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def ended(self, within: float) -> bool:
        """Whether the last event came within so many seconds."""
        self._thread.join(within)
        return bool(self.events) and self.events[-1].is_last

    def close(self) -> None:
        """Do not begin again after the next trouble."""
        self._closed.set()

    def _run(self) -> None:
        while not (self._closed.is_set() or (self.events and self.events[-1].is_last)):
            try:
                for event in self._client.watch(self._task_id, self.events[-1].seq if self.events else 0):
                    self.events.append(event)
            except InfrastructureError:
                self._closed.wait(0.2)
