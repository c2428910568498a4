"""What the doctor says of a queue, without a server."""

from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.adapters.redis.queue import RqQueue
from orchestrator.doctor import redis
from orchestrator.doctor.finding import Unfit
from orchestrator.settings.settings import Settings


class _Client:
    """A Redis with a line of two jobs, whose first was enqueued at a time."""

    def __init__(self, at: bytes | None) -> None:
        self._at = at

    def lindex(self, name: str, place: int) -> bytes:
        assert (name, place) == ("rq:queue:mine", 0)
        return b"first"

    def hget(self, name: bytes, key: str) -> bytes | None:
        assert (name, key) == (b"rq:job:first", "enqueued_at")
        return self._at

    def llen(self, _: str) -> int:
        return 2

    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("workers", "waiting", "oldest", "said"),
    [
        (1, 0, None, "1 worker on queue 'q'; nothing waits"),
        (2, 1, 30.4, "2 workers on queue 'q'; 1 job waits, the first for 30 s"),
        (3, 7, 500.0, "3 workers on queue 'q'; 7 jobs wait, the first for 8 min"),
        (3, 7, 80_000.0, "3 workers on queue 'q'; 7 jobs wait, the first for 22 h"),
        (3, 7, None, "3 workers on queue 'q'; 7 jobs wait"),
        (0, 0, None, "no workers on queue 'q'; nothing waits"),
    ],
)
def test_workers_and_what_waits_are_told(workers: int, waiting: int, oldest: float | None, said: str) -> None:
    """A queue without workers is well as long as nothing waits in it."""
    assert redis.standing("q", workers, waiting, oldest) == said


def test_tasks_that_nobody_takes_are_something_to_do() -> None:
    """They would wait for ever."""
    with pytest.raises(Unfit, match="no workers on queue 'q'; 2 jobs wait, the first for 5 s"):
        redis.standing("q", 0, 2, 5.0)


@pytest.mark.parametrize(
    ("at", "said"),
    [
        (
            f"{datetime.now(UTC) - timedelta(hours=3, minutes=1):%FT%TZ}".encode(),
            ", the first for 3 h",
        ),
        (b"2030-01-01T00:00:00", ""),
        (b"\xff", ""),
        (None, ""),
    ],
)
def test_the_first_entry_tells_its_age(at: bytes | None, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """If it has one that can be read: any application may have written it."""
    settings = Settings.load({"QUEUE": "mine", "REDIS_URL": "redis://127.0.0.1:1"})
    queue = RqQueue(settings)
    queue._queue.connection = _Client(at)
    monkeypatch.setattr(redis, "RqQueue", lambda _: queue)
    monkeypatch.setattr(RqQueue, "workers", lambda _: 1)
    assert redis._queue(settings) == f"1 worker on queue 'mine'; 2 jobs wait{said}"
