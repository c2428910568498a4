"""What Prometheus reads. The only module that imports ``prometheus_client``, so import it where somebody may ask."""

import platform
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate
from typing import Protocol

from attrs import define
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, GCCollector, ProcessCollector, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from orchestrator.metrics import declarations as metrics
from orchestrator.metrics.measurements import Measurements, Readings, Spread
from orchestrator.metrics.metric import Counter, Gauge, Histogram, Metric, Series
from orchestrator.release import version

CONTENT_TYPE = CONTENT_TYPE_LATEST
"""What the exposition is, as HTTP says it."""


class Asked(Protocol):
    """What the servers tell."""

    def read(self) -> Mapping[Gauge, Readings]:
        """Their gauges."""


class Source(Protocol):
    """The services of a process, as far as they are measured."""

    measured: Measurements

    @property
    def servers(self) -> Asked:
        """What the servers tell."""


def exposition(services: Source) -> bytes:
    """All metrics of the process as text. It waits a second at most for a server that does not answer."""
    registry = CollectorRegistry()
    registry.register(_Own(services))
    ProcessCollector(registry=registry)
    GCCollector(registry=registry)
    return generate_latest(registry)


@define(eq=False)
class _Own(Collector):
    services: Source

    def describe(self) -> Iterable[Family]:
        """Nothing in advance: the registry would collect to find the names."""
        return []

    def collect(self) -> Iterator[Family]:
        """Each metric that is declared; a gauge that nobody reads here is left out."""
        measured = self.services.measured
        gauges = {**measured.gauges(), **self.services.servers.read(), metrics.BUILD: {_build(): 1.0}}
        for metric in metrics.declared():
            match metric:
                case Counter():
                    yield _counter(metric, measured.counted(metric))
                case Histogram():
                    yield _histogram(metric, measured.observed(metric))
                case Gauge() if metric in gauges:
                    yield _gauge(metric, gauges[metric])


def _counter(metric: Metric, readings: Readings) -> Family:
    family = CounterMetricFamily(metric.name, metric.help, labels=metric.labels)
    for series, value in readings.items():
        family.add_metric(series, value)
    return family


def _gauge(metric: Metric, readings: Readings) -> Family:
    family = GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)
    for series, value in readings.items():
        family.add_metric(series, value)
    return family


def _histogram(metric: Histogram, readings: Mapping[Series, Spread]) -> Family:
    family = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
    limits = [*(f"{bucket:g}" for bucket in metric.buckets), "+Inf"]
    for series, spread in readings.items():
        buckets = [*zip(limits, map(float, accumulate(spread.counts)), strict=True)]
        family.add_metric(series, buckets, spread.total)
    return family


def _build() -> Series:
    return version(), platform.python_version()
