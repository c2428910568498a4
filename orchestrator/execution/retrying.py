"""How failed calls to a service are made again: jittered exponential backoff, within a budget or without end."""

import threading
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from attrs import field, frozen
from tenacity import RetryCallState, Retrying, retry_if_exception_type, sleep_using_event, stop_never, wait_random_exponential

from orchestrator.errors import InfrastructureError
from orchestrator.log import logger

P = ParamSpec("P")
T = TypeVar("T")


@frozen
class Patience:
    """Makes calls again while they raise InfrastructureError; the wait between two tries ends early once ``over`` is set.

    ``sleep``, if given, waits instead.
    """

    sleep: Callable[[float], None] | None = None
    over: threading.Event = field(factory=threading.Event)

    def forever(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Make the call until it succeeds: for what the task cannot go on without, nor be failed without."""
        return self._retrying(None)(call, *args, **kwargs)

    def within(self, budget: float, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Make the call until ``budget`` seconds were spent waiting between tries; the calls' own time does not count.

        Raises the last InfrastructureError.
        """
        return self._retrying(budget)(call, *args, **kwargs)

    def _retrying(self, budget: float | None) -> Retrying:
        return Retrying(
            retry=retry_if_exception_type(InfrastructureError),
            wait=wait_random_exponential(multiplier=0.2, max=5),
            stop=stop_never if budget is None else lambda state: state.idle_for >= budget,
            sleep=self.sleep or sleep_using_event(self.over),
            before_sleep=_log,
            reraise=True,
        )


def _log(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    logger.warning("try {} failed and is made again: {}", state.attempt_number, error)
