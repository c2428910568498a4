"""When a failed call is made again: every delay, and the loop that waits it out. No other module imports ``tenacity``."""

import random
import threading
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from attrs import field, frozen
from tenacity import RetryCallState, Retrying, retry_if_exception_type, sleep_using_event, stop_after_delay, stop_never
from tenacity.stop import StopBaseT

from orchestrator.errors import InfrastructureError
from orchestrator.log import logger

P = ParamSpec("P")
T = TypeVar("T")


@frozen
class Backoff:
    """How long to wait after a failed try; a longer time after each further one."""

    first: float
    """Seconds after the first failure."""
    most: float
    """No wait is longer."""
    factor: float = 2.0
    """How much longer each wait is than the one before it."""
    jitter: bool = True
    """Wait a random part of that time, so that clients which failed together do not come back together."""
    tries: int | None = None
    """Tries in all, the first one included; None: the caller has a budget of time, or none."""

    @property
    def repeats(self) -> int:
        """Tries after the first one, as libraries count them."""
        return (self.tries or 1) - 1

    def delay(self, failures: int) -> float:
        """Seconds to wait after so many failures in a row, from 1 on."""
        longest = self.most
        if failures - 1 < _MOST_DOUBLINGS:
            longest = min(self.first * self.factor ** (failures - 1), self.most)
        return random.uniform(0, longest) if self.jitter else longest  # noqa: S311  no secret


SERVICE = Backoff(first=0.2, most=5.0)
"""A service that a task needs. The budget is RETRY_BUDGET or UPLOAD_BUDGET, or there is none."""
JOBS = Backoff(first=0.1, most=1.0)
"""What the worker tells RQ about a job, while Redis is away."""
LAST_JOBS_TRIES, LAST_JOBS_SECONDS = 5, 2.0
"""The same once the worker is to stop, or when Redis answers but refuses: given up after one or the other."""
REDIS_COMMAND = Backoff(first=0.1, most=1.0, tries=4)
"""One command, by redis-py itself."""
S3_REQUEST = Backoff(first=0.2, most=120.0, jitter=False, tries=3)
"""One request, by urllib3 itself, which makes the first repeat at once."""
ENGINE_BUSY = Backoff(first=0.1, most=0.1, jitter=False)
"""What somebody else removes at the same time, or still uses for a moment."""
ENGINE_LISTS = Backoff(first=0.05, most=0.05, jitter=False)
"""What the engine has made and does not list yet."""
SUBSCRIPTION = Backoff(first=0.5, most=0.5, jitter=False)
"""A client that follows a task's events. The budget is RETRY_BUDGET from the last event on."""


@frozen
class Failure:
    """A failed try."""

    error: BaseException | None
    tries: int
    """How many have failed by now."""
    seconds: float
    """Since the first one began."""


def _failure(state: RetryCallState) -> Failure:
    error = state.outcome.exception() if state.outcome else None
    return Failure(error, state.attempt_number, state.seconds_since_start or 0.0)


def _log(failure: Failure) -> None:
    logger.warning("try {} failed and is made again: {}", failure.tries, failure.error)


def silent(_: Failure) -> None:
    """Say nothing of a failure that is part of the ordinary run of things."""


@frozen
class Retrier:
    """Makes calls again while they raise one of ``errors``. What it raises in the end is what the last call raised."""

    sleep: Callable[[float], None] | None = None
    """Waits between two tries; None: until ``over`` is set at the latest."""
    over: threading.Event = field(factory=threading.Event)
    backoff: Backoff = SERVICE
    errors: tuple[type[BaseException], ...] = (InfrastructureError,)
    told: Callable[[Failure], None] = _log
    """Called before each wait."""

    def forever(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Make the call until it succeeds: for what the task cannot go on without, nor be failed without."""
        return self._retrying(stop_never)(call, *args, **kwargs)

    def within(self, budget: float, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Make the call until ``budget`` seconds were spent waiting between tries; the calls' own time does not count."""
        return self._retrying(lambda state: state.idle_for >= budget)(call, *args, **kwargs)

    def for_at_most(self, seconds: float, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Make the call until ``seconds`` are over since the first try began; the calls' own time counts."""
        return self._retrying(stop_after_delay(seconds))(call, *args, **kwargs)

    def until(self, enough: Callable[[Failure], bool], call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Make the call until ``enough`` says so of a failure."""
        return self._retrying(lambda state: enough(_failure(state)))(call, *args, **kwargs)

    def _retrying(self, stop: StopBaseT) -> Retrying:
        return Retrying(
            retry=retry_if_exception_type(self.errors),
            wait=lambda state: self.backoff.delay(state.attempt_number),
            stop=stop,
            sleep=self.sleep or sleep_using_event(self.over),
            before_sleep=lambda state: self.told(_failure(state)),
            reraise=True,
        )


_MOST_DOUBLINGS = 64
"""After more failures than this every wait is the longest one; a float would overflow."""
