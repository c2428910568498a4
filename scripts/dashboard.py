"""The dashboard for Grafana, made from the declarations of the metrics."""

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate

from attrs import frozen

from orchestrator.metrics import declarations as metrics
from orchestrator.metrics.metric import Histogram, Metric

_SOURCE = {"type": "prometheus", "uid": "${source}"}
_WIDE, _HIGH = 24, 8


@frozen
class Panel:
    """One plot: each query with the legend of its lines."""

    title: str
    metric: Metric
    """Its help explains the panel."""
    queries: Sequence[tuple[str, str]]
    unit: str = "short"
    width: int = 8


def _rate(metric: Metric, *by: str, also: str = "") -> str:
    return f"sum by ({', '.join(by)}) (rate({metric.name}{also}[$__rate_interval]))"


def _increase(metric: Metric, *by: str, also: str = "") -> str:
    return f"sum by ({', '.join(by)}) (increase({metric.name}{also}[$__rate_interval]))"


def _quantiles(metric: Histogram, *by: str, also: str = "") -> list[tuple[str, str]]:
    groups, legend = ", ".join(["le", *by]), " ".join(f"{{{{{label}}}}}" for label in by)
    return [
        (
            f"histogram_quantile({quantile}, sum by ({groups}) (rate({metric.name}_bucket{also}[$__rate_interval])))",
            f"{legend} {name}".strip(),
        )
        for quantile, name in ((0.5, "median"), (0.95, "95 %"))
    ]


def _highest(metric: Metric, legend: str) -> tuple[str, str]:
    """Of what every process tells alike."""
    return f"max({metric.name})", legend


ROWS: Mapping[str, Sequence[Panel]] = {
    "Queue": (
        Panel("Jobs in the queue", metrics.QUEUE_JOBS, [_highest(metrics.QUEUE_JOBS, "jobs")]),
        Panel(
            "Age of the oldest",
            metrics.TASK_OLDEST,
            [_highest(metrics.TASK_OLDEST, "queued task"), _highest(metrics.QUEUE_OLDEST, "job in line")],
            "s",
        ),
        Panel(
            "Slots and tasks",
            metrics.SLOTS,
            [
                (f"sum({metrics.SLOTS.name})", "slots"),
                (f"sum({metrics.HELD.name})", "tasks"),
                _highest(metrics.QUEUE_WORKERS, "workers"),
            ],
        ),
    ),
    "Tasks": (
        Panel("Ends", metrics.ENDED, [(_rate(metrics.ENDED, "status", "cause"), "{{status}} {{cause}}")], "ops"),
        Panel("Wait", metrics.WAIT, _quantiles(metrics.WAIT), "s"),
        Panel("Run time", metrics.RUN, _quantiles(metrics.RUN), "s"),
        Panel("Steps", metrics.STEP, _quantiles(metrics.STEP, "step", also='{step!="wait"}'), "s"),
        Panel("Uploads", metrics.UPLOADED, [(_rate(metrics.UPLOADED, "part"), "{{part}}")], "Bps"),
        Panel(
            "Output that was dropped or not sent",
            metrics.OUTPUT_DROPPED,
            [(_rate(metrics.OUTPUT_DROPPED), "beyond the limit"), (_rate(metrics.LIVE_SKIPPED), "not sent live")],
            "Bps",
        ),
    ),
    "Faults": (
        Panel("Failed calls", metrics.SERVICE_ERRORS, [(_rate(metrics.SERVICE_ERRORS, "service"), "{{service}}")], "ops"),
        Panel(
            "Failed tries of steps",
            metrics.STEP_ERRORS,
            [(_rate(metrics.STEP_ERRORS, "step", "kind"), "{{step}} {{kind}}")],
            "ops",
        ),
        Panel("Retries", metrics.RETRIED, [(_increase(metrics.RETRIED, "cause"), "{{cause}}")]),
        Panel("Adoptions", metrics.ADOPTED, [(_increase(metrics.ADOPTED, "state"), "{{state}}")]),
        Panel(
            "Leases",
            metrics.LEASE_RENEWAL,
            [*_quantiles(metrics.LEASE_RENEWAL), (_increase(metrics.LEASES_LOST), "lost")],
            "s",
        ),
        Panel("Sweeps", metrics.SWEPT, [(_increase(metrics.SWEPT, "action"), "{{action}}")]),
        Panel(
            "Queue entries put back",
            metrics.RESCUED,
            [(_increase(metrics.RESCUED), "rescued"), (_increase(metrics.FOREIGN), "foreign")],
        ),
        Panel("Figures missing", metrics.FIGURES_MISSING, [(_increase(metrics.FIGURES_MISSING, "figure"), "{{figure}}")]),
        Panel("Clock of the database", metrics.CLOCK, [(metrics.CLOCK.name, "{{instance}}")], "s"),
    ),
    "Processes": (
        Panel("Health", metrics.HEALTH, [(metrics.HEALTH.name, "{{instance}} {{check}}")], width=12),
        Panel("Servers", metrics.SERVER_UP, [(f"min by (server) ({metrics.SERVER_UP.name})", "{{server}}")], width=12),
        Panel(
            "Memory",
            metrics.BUILD,
            [(f"process_resident_memory_bytes * on (instance) {metrics.BUILD.name}", "{{instance}}")],
            "bytes",
            12,
        ),
        Panel(
            "File descriptors",
            metrics.BUILD,
            [(f"process_open_fds * on (instance) {metrics.BUILD.name}", "{{instance}}")],
            width=12,
        ),
    ),
}


def dashboard() -> str:
    """What Grafana imports."""
    board = {
        "uid": "orchestrator",
        "title": "Orchestrator",
        "tags": ["orchestrator"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": [{"name": "source", "label": "Source", "type": "datasource", "query": "prometheus"}]},
        "panels": [*_panels()],
    }
    return json.dumps(board, indent=1) + "\n"


def _panels() -> Iterator[dict[str, object]]:
    top = number = 0
    for title, panels in ROWS.items():
        number += 1
        yield {
            "id": number,
            "type": "row",
            "title": title,
            "collapsed": False,
            "panels": [],
            "gridPos": _place(top, 0, _WIDE, 1),
        }
        top += 1
        lefts = [0, *accumulate(panel.width for panel in panels)]
        for panel, left in zip(panels, lefts, strict=False):
            number += 1
            yield _drawn(number, panel, _place(top + left // _WIDE * _HIGH, left % _WIDE, panel.width, _HIGH))
        top += -(-lefts[-1] // _WIDE) * _HIGH


def _place(top: int, left: int, width: int, height: int) -> dict[str, int]:
    return {"x": left, "y": top, "w": width, "h": height}


def _drawn(number: int, panel: Panel, place: dict[str, int]) -> dict[str, object]:
    targets = [
        {"refId": chr(ord("A") + index), "datasource": _SOURCE, "expr": query, "legendFormat": legend}
        for index, (query, legend) in enumerate(panel.queries)
    ]
    return {
        "id": number,
        "type": "timeseries",
        "title": panel.title,
        "description": panel.metric.help,
        "datasource": _SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": panel.unit, "custom": {"fillOpacity": 10}}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi", "sort": "desc"}},
        "targets": targets,
    }
