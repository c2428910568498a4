"""The engine's time, without a request each time."""

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

from requests import Response


class EngineClock:
    """The engine's clock. It is read once and continued by the monotonic clock.

    It is read again if the Date of an answer contradicts it.
    """

    def __init__(self, read: Callable[[], datetime], monotonic: Callable[[], float] = time.monotonic) -> None:
        self._read = read
        self._monotonic = monotonic
        self._zero: datetime | None = None

    def now(self) -> datetime:
        """The engine's time, exact to half the duration of reading it. Raises the same as ``read``."""
        return self.at(None)

    def at(self, moment: float | None) -> datetime:
        """The engine's time at a moment of the monotonic clock, None for now. As ``now``."""
        zero = self._zero
        if zero is None:
            before = self._monotonic()
            read = self._read()
            zero = self._zero = read - timedelta(seconds=(before + self._monotonic()) / 2)
        return zero + timedelta(seconds=self._monotonic() if moment is None else moment)

    def heard(self, response: Response, *_: object, **__: object) -> None:
        """Compare with an answer that has just come. Its Date is in whole seconds. Called for every response."""
        date = response.headers.get("Date")
        if date is None or self._zero is None:
            return
        ahead = (self._zero + timedelta(seconds=self._monotonic()) - parsedate_to_datetime(date)).total_seconds()
        if not -_SLACK <= ahead <= 1 + _SLACK:
            self._zero = None


_SLACK = 1.0
