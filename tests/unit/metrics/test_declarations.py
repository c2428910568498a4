"""Names as Prometheus wants them, and a bound for the number of series."""

import re

import pytest

from orchestrator.metrics.declarations import SWEPT, declared
from orchestrator.metrics.metric import Counter, Histogram, Metric
from orchestrator.reconcile.reconciler import Kind

METRICS = declared()


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_names_follow_the_conventions(metric: Metric) -> None:
    """A prefix, base units, `_total` on counters and on nothing else; the help is one line."""
    assert re.fullmatch("orchestrator_[a-z]+(_[a-z]+)*", metric.name)
    assert metric.name.endswith("_total") == isinstance(metric, Counter)
    assert not re.search("_(ms|milliseconds|minutes|hours|kb|mb|percent)(_|$)", metric.name)
    assert metric.name.endswith("_seconds") or not isinstance(metric, Histogram)
    assert re.fullmatch(r"[A-Z1].*\.", metric.help)


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_each_series_has_a_value_for_each_label(metric: Metric) -> None:
    """And none is there twice."""
    assert {len(series) for series in metric.series} <= {len(metric.labels)}
    assert len({*metric.series}) == len(metric.series)
    assert len(metric.series) <= 70


def test_no_two_have_one_name() -> None:
    """The second would be lost."""
    assert len({metric.name for metric in METRICS}) == len(METRICS)


def test_no_label_can_be_an_id() -> None:
    """A series for each task would be the end of the server that stores them."""
    assert {label for metric in METRICS for label in metric.labels}.isdisjoint({"id", "task", "task_id", "container", "image"})


def test_every_action_of_a_sweep_has_its_series() -> None:
    """Also one that is added."""
    assert {action for (action,) in SWEPT.series} == {kind.name.lower() for kind in Kind} | {"end_overdue"}


def test_the_buckets_of_a_histogram_rise() -> None:
    """From milliseconds to a day."""
    for metric in METRICS:
        if isinstance(metric, Histogram):
            assert [*metric.buckets] == sorted({*metric.buckets})
