"""What a metric is: its name, its help, and each series that it can have."""

from attrs import frozen

Series = tuple[str, ...]
"""The values of a metric's labels, in their order."""
OTHER = "other"
"""The value of every label of a series that was not declared."""


@frozen
class Metric:
    """Part of a declaration. The names follow the conventions of Prometheus."""

    name: str
    help: str
    labels: tuple[str, ...] = ()
    series: tuple[Series, ...] = ((),)
    """All series that there can be, so their number has a bound. Each is exposed from the start, so that its first increase is
    seen."""

    def of(self, labels: Series) -> Series:
        """The declared series with these labels; for unknown ones the series in which every label is ``other``."""
        return labels if labels in self.series else (OTHER,) * len(self.labels)


@frozen
class Counter(Metric):
    """It only grows, from 0 at the start of the process."""


@frozen
class Gauge(Metric):
    """It is read when somebody asks."""


@frozen
class Histogram(Metric):
    """How often a value, in seconds, was at most each of the ``buckets``."""

    buckets: tuple[float, ...] = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 14400, 86400)
