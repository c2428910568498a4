"""The numbers of one process. Filled by many threads, and read when somebody asks for the metrics."""

import threading
import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from attrs import define

from orchestrator.metrics.metric import OTHER, Counter, Gauge, Histogram, Series

Readings = Mapping[Series, float]
"""The value of each series of a metric."""


@define
class Spread:
    """How the values of a series are spread over the buckets of its histogram."""

    counts: list[int]
    """For each bucket the values in it and in no smaller one; the last is for those above all buckets."""
    total: float = 0.0
    """All values together."""


class Measurements:
    """Nothing here may harm a task: a label that was not declared is counted as ``other``."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: defaultdict[tuple[str, Series], float] = defaultdict(float)
        self._spreads: dict[tuple[str, Series], Spread] = {}
        self._read: dict[Gauge, Callable[[], Readings]] = {}

    def count(self, counter: Counter, *labels: str, by: float = 1) -> None:
        """Add to a counter."""
        with self._lock:
            self._counts[counter.name, counter.of(labels)] += by

    def observe(self, histogram: Histogram, seconds: float, *labels: str) -> None:
        """Add a value. One below 0, as clocks that differ make it, counts as 0."""
        value = max(seconds, 0.0)
        with self._lock:
            spread = self._spreads.setdefault((histogram.name, histogram.of(labels)), _empty(histogram))
            spread.counts[bisect_left(histogram.buckets, value)] += 1
            spread.total += value

    @contextmanager
    def timed(self, histogram: Histogram, *labels: str) -> Iterator[None]:
        """Add the seconds that the block takes, also when it raises."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.observe(histogram, time.monotonic() - began, *labels)

    def watch(self, gauge: Gauge, read: Callable[[], Readings]) -> None:
        """Ask ``read`` whenever somebody asks for the metrics."""
        self._read[gauge] = read

    def counted(self, counter: Counter) -> Readings:
        """The counter, with a 0 for each series that has not moved."""
        with self._lock:
            return {series: self._counts.get((counter.name, series), 0.0) for series in self._series(counter, self._counts)}

    def observed(self, histogram: Histogram) -> Mapping[Series, Spread]:
        """The same for a histogram."""
        with self._lock:
            found = {series: self._spreads.get((histogram.name, series)) for series in self._series(histogram, self._spreads)}
            return {
                series: Spread([*spread.counts], spread.total) if spread else _empty(histogram)
                for series, spread in found.items()
            }

    def gauges(self) -> Mapping[Gauge, Readings]:
        """What is watched, as it is now."""
        return {gauge: read() for gauge, read in self._read.items()}

    def _series(self, metric: Counter | Histogram, moved: Mapping[tuple[str, Series], object]) -> list[Series]:
        """Those that were declared; and ``other``, once something was counted there."""
        other = (OTHER,) * len(metric.labels)
        return [*metric.series, *([other] if other not in metric.series and (metric.name, other) in moved else [])]


def _empty(histogram: Histogram) -> Spread:
    return Spread([0] * (len(histogram.buckets) + 1))
