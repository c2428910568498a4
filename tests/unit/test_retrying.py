"""Failed calls are made again at the times that the policy says, and no longer than it says."""

import random
from collections.abc import Callable

import pytest
import tenacity
from attrs import define, field

from orchestrator import retrying
from orchestrator.adapters.redis.client import redis_client
from orchestrator.adapters.s3.client import minio_client
from orchestrator.errors import InfrastructureError
from orchestrator.retrying import Backoff, Failure, Retrier
from orchestrator.settings.settings import Settings

AWAY = InfrastructureError("mongodb", "away")
STEADY = Backoff(first=1.0, most=5.0, jitter=False)


@define
class Clock:
    """Time that only waiting, and calls that take long, move."""

    now: float = 0.0
    waits: list[float] = field(factory=list)

    def sleep(self, seconds: float) -> None:
        """Wait."""
        self.waits.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock by which the library counts."""
    clock = Clock()
    monkeypatch.setattr(tenacity.time, "monotonic", lambda: clock.now)
    return clock


def flaky(clock: Clock, failures: int, took: float = 0.0) -> Callable[[], float]:
    """A call that fails so often, then tells the time; each try takes a while."""
    left = [failures]

    def call() -> float:
        clock.now += took
        if left[0]:
            left[0] -= 1
            raise AWAY
        return clock.now

    return call


def test_waits_grow_by_the_factor_up_to_the_longest() -> None:
    """However many tries have failed."""
    assert [STEADY.delay(failures) for failures in (1, 2, 3, 4, 5, 10**6)] == [1.0, 2.0, 4.0, 5.0, 5.0, 5.0]
    assert Backoff(1.0, 100.0, factor=3.0, jitter=False).delay(4) == 27.0


def test_jitter_takes_a_random_part_of_the_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of all of it, from 0 on."""
    monkeypatch.setattr(random, "uniform", lambda low, high: low + (high - low) / 4)
    assert [Backoff(1.0, 5.0).delay(failures) for failures in (1, 2, 9)] == [0.25, 0.5, 1.25]


def test_a_call_is_made_until_it_succeeds(clock: Clock) -> None:
    """Forever is forever; what the call returns is handed on."""
    assert Retrier(clock.sleep, backoff=STEADY).forever(flaky(clock, 6)) == 22.0
    assert clock.waits == [1.0, 2.0, 4.0, 5.0, 5.0, 5.0]


def test_a_budget_counts_the_waits_and_not_the_calls(clock: Clock) -> None:
    """A service that is slow to fail gets as many tries as one that refuses at once."""
    with pytest.raises(InfrastructureError, match="away"):
        Retrier(clock.sleep, backoff=STEADY).within(6.0, flaky(clock, 100, took=1000.0))
    assert clock.waits == [1.0, 2.0, 4.0]


def test_time_at_most_counts_the_calls_too(clock: Clock) -> None:
    """As where somebody waits for a process to start."""
    with pytest.raises(InfrastructureError, match="away"):
        Retrier(clock.sleep, backoff=STEADY).for_at_most(6.0, flaky(clock, 100, took=2.0))
    assert clock.waits == [1.0, 2.0]


def test_a_call_is_made_until_the_caller_has_enough(clock: Clock) -> None:
    """Of a failure it knows the error, which try it was, and how long all have taken."""
    seen: list[Failure] = []

    def enough(failure: Failure) -> bool:
        seen.append(failure)
        return failure.tries == 3

    with pytest.raises(InfrastructureError, match="away"):
        Retrier(clock.sleep, backoff=STEADY).until(enough, flaky(clock, 100, took=1.0))
    assert seen == [Failure(AWAY, 1, 1.0), Failure(AWAY, 2, 3.0), Failure(AWAY, 3, 6.0)]


def test_other_errors_are_raised_at_once(clock: Clock) -> None:
    """A bug is not an outage."""
    with pytest.raises(ZeroDivisionError):
        Retrier(clock.sleep).forever(lambda: 1 / 0)
    assert clock.waits == []


def test_each_failure_is_told_before_the_wait(clock: Clock) -> None:
    """The caller may do something meanwhile."""
    told: list[int] = []
    Retrier(clock.sleep, told=lambda failure: told.append(failure.tries)).forever(flaky(clock, 2))
    assert told == [1, 2]


def test_a_wait_ends_early_once_it_is_over() -> None:
    """A task that somebody else has by now is not waited for."""
    retrier = Retrier(backoff=Backoff(3600.0, 3600.0, jitter=False))
    retrier.over.set()
    retrier.forever(flaky(Clock(), 3))


def test_libraries_that_retry_by_themselves_are_told_the_same_policy() -> None:
    """So that its numbers stand in one place."""
    retry = redis_client(Settings()).connection_pool.connection_kwargs["retry"]
    assert (retry.get_retries(), retry._backoff._base, retry._backoff._cap) == (3, 0.1, 1.0)
    assert Backoff(0.1, 1.0, tries=4) == retrying.REDIS_COMMAND
    request = minio_client(Settings())._http.connection_pool_kw["retries"]
    assert (request.total, request.backoff_factor, request.backoff_max) == (2, 0.2, 120.0)
    assert Backoff(0.2, 120.0, jitter=False, tries=3) == retrying.S3_REQUEST
