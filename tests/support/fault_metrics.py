"""Asks a worker of the fault suite for its metrics: each row of docs/reliability.md has one that moves."""

import urllib.error
import urllib.request
from collections.abc import Mapping

from prometheus_client.parser import text_string_to_metric_families

from orchestrator.embedded.ports import choose_ports
from orchestrator.metrics.metric import Metric
from tests.support.fault_wait import PATIENCE, until

Asked = Mapping[str, str]
"""The settings of a worker that can be asked."""


def with_metrics() -> Asked:
    """Settings with which a worker tells its metrics, on a port of its own."""
    (port,) = choose_ports(1)
    return {"HEALTH_PORT": str(port)}


def moved(worker: Asked, metric: Metric, *labels: str) -> float:
    """The value of a series now; 0 while nobody answers."""
    wanted = dict(zip(metric.labels, labels, strict=True))
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{worker['HEALTH_PORT']}/metrics", timeout=10) as answer:
            text = answer.read().decode()
    except (urllib.error.URLError, ConnectionError):
        return 0.0
    samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
    return sum(sample.value for sample in samples if sample.name == metric.name and sample.labels == wanted)


def shows(worker: Asked, metric: Metric, *labels: str) -> None:
    """Wait until the series has moved: what is stored is counted a moment later."""
    until(lambda: moved(worker, metric, *labels) > 0, PATIENCE)
