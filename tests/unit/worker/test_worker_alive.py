"""Whether a worker counts as alive: its loop turns, or Redis holds it up."""

import threading
from collections.abc import Iterator

import pytest

from orchestrator.worker import worker as worker_module
from orchestrator.worker.redis_retry import connect
from orchestrator.worker.worker import ThreadWorker
from tests.support import pace
from tests.support.worker_process import until

NOWHERE = "redis://127.0.0.1:1"


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> Iterator[ThreadWorker]:
    """A worker whose loop counts as stuck at once, unless Redis is the reason; there is no Redis."""
    monkeypatch.setattr(worker_module, "_STUCK", 0.0)
    worker = ThreadWorker(connect(NOWHERE), "default", 1)
    yield worker
    worker.request_stop()


def test_a_worker_that_waits_for_redis_is_alive(worker: ThreadWorker) -> None:
    """To end it would cost its tasks their worker and bring Redis back no sooner."""
    assert not worker.alive
    waiting = threading.Thread(target=worker.link.persist, args=(worker.beat,), daemon=True)
    waiting.start()
    until(lambda: worker.alive)
    worker.request_stop()
    waiting.join(pace.seconds(30))
    assert not waiting.is_alive()


def test_a_worker_whose_loop_does_not_turn_is_not_alive(worker: ThreadWorker, monkeypatch: pytest.MonkeyPatch) -> None:
    """If Redis has answered recently, the fault is the worker's."""
    worker.link.persist(lambda: None)
    assert not worker.alive
    monkeypatch.setattr(worker_module, "_STUCK", 60.0)
    assert worker.alive
