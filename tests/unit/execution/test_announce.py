"""What is stored is published in order, whichever thread does it."""

import threading
from math import inf
from pathlib import Path

from attrs import define, field

from orchestrator.execution.claim import Claim
from orchestrator.execution.deployment import Deployment
from orchestrator.execution.leases import HeldLease, Leases
from orchestrator.execution.steps.announce import Announce
from orchestrator.retrying import Retrier
from orchestrator.task.event import Event
from orchestrator.testing.task_store import MemoryTaskStore
from tests.support import pace
from tests.support.tasks import finished

LONG = pace.seconds(20.0)


@define
class Slow:
    """A bus that keeps the first one that publishes waiting."""

    published: list[int] = field(factory=list)
    asked: threading.Event = field(factory=threading.Event)
    answers: threading.Event = field(factory=threading.Event)

    def publish(self, event: Event) -> None:
        """See ports.EventBus."""
        self.asked.set()
        self.answers.wait(LONG)
        self.published.append(event.seq)


def test_two_that_publish_at_once_keep_the_order() -> None:
    """What one of them is about to send, the other neither passes nor repeats."""
    bus, task = Slow(), finished()
    store = MemoryTaskStore()
    announce = Announce(bus, Deployment(store, Path()))
    claim = Claim(task, HeldLease("token", {}, inf), Leases(store, "w1", 10, Retrier()), task.status)
    first, second = (threading.Thread(target=announce.publish, args=(claim,), daemon=True) for _ in range(2))
    first.start()
    assert bus.asked.wait(LONG)
    second.start()
    second.join(0.05)
    bus.answers.set()
    first.join(LONG)
    second.join(LONG)
    assert bus.published == [entry.seq for entry in task.history]
