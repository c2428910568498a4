"""Who hears of tasks: a client that follows one and may read MongoDB for it, and a listener that has Redis alone."""

import threading
from collections import defaultdict

from redis import Redis, RedisError
from redis.backoff import NoBackoff
from redis.retry import Retry

from orchestrator.client import Client
from orchestrator.errors import InfrastructureError
from orchestrator.settings.settings import Settings
from orchestrator.task.event import Event
from tests.support import pace

_CHANNEL = "tasks"
_TURN = 0.1
_AGAIN = 0.02


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


class Listener:
    """Hears what is published of all tasks, past any proxy, from when it was made.

    ``unheard`` is the most messages that it can have missed: what a Redis that was restarted had published before it listened
    again. Those of the one before were heard, for Redis sends to subscribers before it answers.
    """

    def __init__(self, settings: Settings) -> None:
        self.unheard = 0
        self._url = settings.redis_url
        self._events: dict[str, dict[int, Event]] = defaultdict(dict)
        self._last: dict[str, str] = {}
        self._listens, self._closed = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._listens.wait(pace.seconds(30)), "nobody can subscribe to Redis"

    def of(self, task_id: str) -> list[Event]:
        """Each change of a task when it was published first, in this order."""
        return [event for event in [*self._events[task_id].values()] if event.seq]

    def last(self, task_id: str) -> str:
        """The status that the last message about a task had."""
        return self._last[task_id]

    def close(self) -> None:
        """Stop listening."""
        self._closed.set()
        self._thread.join(pace.seconds(5))

    def _run(self) -> None:
        while not self._closed.is_set():
            try:
                with Redis.from_url(self._url, retry=Retry(NoBackoff(), 0), socket_timeout=5) as redis:
                    self._listen(redis)
            except RedisError:
                self._closed.wait(_AGAIN)

    def _listen(self, redis: Redis) -> None:
        with redis.pubsub() as subscription:
            subscription.subscribe(_CHANNEL)
            while not self._closed.is_set():
                message = subscription.get_message(timeout=_TURN)
                if message and message["type"] == "subscribe":
                    self.unheard += _published(redis) if self._listens.is_set() else 0
                    self._listens.set()
                elif message:
                    event = Event.from_json(message["data"])
                    self._last[event.task_id] = event.status
                    self._events[event.task_id].setdefault(event.seq, event)


def _published(redis: Redis) -> int:
    """How many messages this Redis has published since its start."""
    return int(redis.info("commandstats").get("cmdstat_publish", {}).get("calls", 0))
