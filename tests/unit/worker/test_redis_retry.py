"""What the worker does when Redis is away."""

import threading
from collections.abc import Callable, Iterator
from errno import EMFILE

import pytest
import redis
from loguru import logger

from orchestrator.worker.redis_retry import RedisRetry, connect
from orchestrator.worker.rq_maintenance import PeriodicTask
from tests.support import pace
from tests.support.worker_process import until


class Flaky:
    """A call that fails as told, then answers."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.calls = 0

    def __call__(self) -> str:
        """Fail while there are errors left."""
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "answer"


@pytest.fixture
def said() -> Iterator[list[str]]:
    """The log lines."""
    lines: list[str] = []
    logger.remove()
    listening = logger.add(lambda message: lines.append(message.record["message"]))
    yield lines
    logger.remove(listening)


def away() -> redis.ConnectionError:
    """The error of a server that is not there."""
    return redis.ConnectionError("refused")


def test_persists_through_an_outage_and_tells_once_that_it_began_and_ended(said: list[str]) -> None:
    """However many calls fail."""
    link = RedisRetry(lambda: False)
    assert link.persist(Flaky(*[away() for _ in range(4)], redis.TimeoutError("slow"))) == "answer"
    assert link.persist(Flaky(away())) == "answer"
    assert [line.split(" correctly")[0].split(" after ")[0] for line in said] == [
        "Redis does not answer",
        "Redis answers again",
    ] * 2


@pytest.mark.parametrize(
    ("stopping", "error"), [(True, away), (False, lambda: redis.ResponseError("OOM"))], ids=["stopping", "refused"]
)
def test_gives_up_when_the_worker_stops_or_redis_refuses(
    said: list[str], *, stopping: bool, error: Callable[[], redis.RedisError]
) -> None:
    """After a few tries, without raising: the job does not depend on it."""
    call = Flaky(*[error() for _ in range(100)])
    assert RedisRetry(lambda: stopping).persist(call) is None
    assert 1 < call.calls < 10
    assert said[-1].startswith("gave up on Redis")


def test_stop_ends_the_persistence(said: list[str]) -> None:
    """An outage does not keep a worker from stopping."""
    stopping = threading.Event()
    call = Flaky(*[away() for _ in range(1000)])
    thread = threading.Thread(target=lambda: RedisRetry(stopping.is_set).persist(call))
    thread.start()
    until(lambda: call.calls > 1)
    stopping.set()
    thread.join(pace.seconds(10))
    assert not thread.is_alive()
    assert said


def test_attempt_is_made_once_and_other_errors_are_not_hidden(said: list[str]) -> None:
    """A bug is not an outage."""
    link, call = RedisRetry(lambda: False), Flaky(away())
    assert link.attempt(call) is None
    assert call.calls == 1
    assert link.attempt(call) == "answer"
    with pytest.raises(KeyError):
        link.persist(Flaky(KeyError("bug")))
    assert len(said) == 2


def test_client_does_not_retry_by_itself_and_needs_no_server_to_be_made() -> None:
    """A BLMOVE sent again after a lost answer would take a second job."""
    client = connect("redis://127.0.0.1:1/0")
    with pytest.raises(redis.ConnectionError):
        client.ping()
    assert client.connection_pool.connection_kwargs["retry"].get_retries() == 0


def test_chore_is_done_at_once_and_then_when_due() -> None:
    """It may be called as often as the loop turns."""
    done: list[int] = []
    rare, frequent = PeriodicTask(3600, lambda: done.append(1)), PeriodicTask(0, lambda: done.append(2))
    for _ in range(3):
        rare()
        frequent()
    assert done == [1, 2, 2, 2]


def test_chore_that_fails_is_not_repeated_before_its_time() -> None:
    """An outage must not turn the loop into a storm."""
    call = Flaky(away(), away())
    chore = PeriodicTask(3600, call)  # type: ignore[arg-type]
    with pytest.raises(redis.ConnectionError):
        chore()
    chore()
    assert call.calls == 1


def test_running_out_of_descriptors_is_an_outage_like_any_other() -> None:
    """Neither call lets it through: it would end the worker's loop."""
    link = RedisRetry(lambda: False)
    assert link.persist(Flaky(OSError(EMFILE, "Too many open files"), OSError(EMFILE, "Too many open files"))) == "answer"
    assert link.attempt(Flaky(OSError(EMFILE, "Too many open files"))) is None
    assert link.is_lost
