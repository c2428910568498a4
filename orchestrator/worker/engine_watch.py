"""Knows whether the engine answers. It asks in advance, because an engine that hangs would delay a probe."""

import threading
import time
from collections.abc import Callable
from math import inf

from attrs import define, field

from orchestrator.errors import InfrastructureError
from orchestrator.log import logger

_EVERY = 2.0
_STALE = 15.0
"""Seconds without an answer after which the engine counts as away, although it has not refused."""


@define
class EngineWatch:
    """Asks every two seconds, in a separate thread. ``ask`` raises InfrastructureError if the engine is away."""

    ask: Callable[[], object]
    _heard: float = field(default=-inf, init=False)

    def start(self) -> None:
        """Begin to ask."""
        threading.Thread(target=self._run, name="engine", daemon=True).start()

    @property
    def answers(self) -> bool:
        """Whether it has answered recently, and has not refused since."""
        return time.monotonic() - self._heard < _STALE

    def look(self) -> None:
        """Ask once."""
        try:
            self.ask()
        except InfrastructureError as error:
            if self.answers:
                logger.warning("the engine does not answer: {}", error)
            self._heard = -inf
        else:
            self._heard = time.monotonic()

    def _run(self) -> None:
        while True:
            self.look()
            time.sleep(_EVERY)
