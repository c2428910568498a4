"""New tasks over Redis: their events and their jobs in one transaction, which is one round trip for all of them."""

from collections.abc import Sequence

from attrs import frozen

from orchestrator.adapters.redis.client import redis_errors
from orchestrator.adapters.redis.event_bus import RedisEventBus
from orchestrator.adapters.redis.queue import RqQueue
from orchestrator.ports import EventBus, Intake, NewTask, Queue, TwoStepIntake


@frozen
class RedisIntake:
    """The Intake on Redis and RQ. Bus and queue are on the same server."""

    events: RedisEventBus
    queue: RqQueue

    def take_in(self, tasks: Sequence[NewTask]) -> None:
        """In one transaction, so that a job that is saved is in line."""
        if not tasks:
            return
        with redis_errors(), self.queue.transaction() as pipeline:
            self.events.add(pipeline, [task.event for task in tasks])
            self.queue.add(pipeline, [(task.event.task_id, task.info) for task in tasks])
            pipeline.execute()


def intake(events: EventBus, queue: Queue) -> Intake:
    """The intake of this bus and this queue, whatever they are."""
    if isinstance(events, RedisEventBus) and isinstance(queue, RqQueue):
        return RedisIntake(events, queue)
    return TwoStepIntake(events, queue)
