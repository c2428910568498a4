"""What the database and Redis tell of the queue when somebody asks for the metrics."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from attrs import define, field

from orchestrator.metrics import declarations as metrics
from orchestrator.metrics.measurements import Readings
from orchestrator.metrics.metric import Gauge
from orchestrator.metrics.recent import Answer, Recent
from orchestrator.ports import Queue, TaskStore
from orchestrator.task.values import Document


@define
class ServerGauges:
    """Each server is asked in a thread of its own. The gauges of one that does not answer are left out."""

    store: TaskStore
    queue: Queue
    _asked: Mapping[str, Recent] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._asked = {"mongodb": Recent(self._database), "redis": Recent(self._queue_of_redis)}

    def read(self) -> Mapping[Gauge, Readings]:
        """The gauges of the last few seconds."""
        answers = {server: recent() for server, recent in self._asked.items()}
        up: Readings = {(server,): float(answer is not None) for server, answer in answers.items()}
        found = {gauge: readings for answer in answers.values() for gauge, readings in (answer or {}).items()}
        return {metrics.SERVER_UP: up, **found}

    def _queue_of_redis(self) -> Answer:
        depth = self.queue.depth()
        return {
            metrics.QUEUE_JOBS: {(): depth.jobs},
            metrics.QUEUE_OLDEST: {(): depth.oldest or 0.0},
            metrics.QUEUE_WORKERS: {(): self.queue.workers()},
        }

    def _database(self) -> Answer:
        here, there = datetime.now(UTC), self.store.now()
        age = _age(self.store.waiting(1), there)
        return {metrics.CLOCK: {(): (there - here).total_seconds()}, metrics.TASK_OLDEST: {(): age}}


def _age(queued: Iterable[Document], now: datetime) -> float:
    """Seconds since the first of the tasks was created; a foreign hand may have written another value there."""
    created = next((document.get("created_at") for document in queued), None)
    if not isinstance(created, datetime) or created.tzinfo is None:
        return 0.0
    return max((now - created).total_seconds(), 0.0)
