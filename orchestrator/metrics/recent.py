"""The last answer to a question that a server may be slow to answer: a scrape must not hang because a server does."""

import threading
import time
from collections.abc import Callable, Mapping

from attrs import define, field

from orchestrator.errors import InfrastructureError
from orchestrator.log import logger
from orchestrator.metrics.measurements import Readings
from orchestrator.metrics.metric import Gauge

Answer = Mapping[Gauge, Readings]


@define
class Recent:
    """Asks in a separate thread, once at a time. ``ask`` raises InfrastructureError if the server is away."""

    ask: Callable[[], Answer]
    fresh: float = 5.0
    """Seconds for which an answer is given again."""
    patience: float = 1.0
    """Seconds to wait for an answer."""
    _changed: threading.Condition = field(factory=threading.Condition, init=False)
    _asking: bool = field(default=False, init=False)
    _answer: Answer | None = field(default=None, init=False)
    _answered_at: float = field(default=float("-inf"), init=False)

    def __call__(self) -> Answer | None:
        """The answer; None if there is none yet, or the server did not answer the last time."""
        with self._changed:
            if not self._asking and time.monotonic() - self._answered_at >= self.fresh:
                self._begin()
            self._changed.wait_for(lambda: not self._asking, self.patience)
            return None if self._asking else self._answer

    def _begin(self) -> None:
        """Ask, if there can be one more thread; else there is no answer for now."""
        self._asking = True
        try:
            threading.Thread(target=self._ask_once, name="gauges", daemon=True).start()
        except RuntimeError:
            self._asking, self._answer = False, None

    def _ask_once(self) -> None:
        answer: Answer | None = None
        try:
            answer = self.ask()
        except InfrastructureError as error:
            logger.debug("no gauges of a server: {}", error)
        finally:
            with self._changed:
                self._answer, self._asking, self._answered_at = answer, False, time.monotonic()
                self._changed.notify_all()
