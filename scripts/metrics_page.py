"""The page of the metrics: all that are declared, and which of them move on which fault of the fault suite."""

from collections.abc import Iterator, Mapping

from attrs import frozen

from orchestrator.metrics import declarations as metrics
from orchestrator.metrics.metric import Counter, Histogram, Metric
from scripts.pages import NOTICE, table


@frozen
class Moves:
    """What a fault is, in short, and which metrics show it."""

    fault: str
    metrics: tuple[Metric, ...]
    how: str


FAULTS: Mapping[int, Moves] = {
    1: Moves("a worker is killed", (metrics.ADOPTED, metrics.SWEPT), "the worker that goes on counts the task"),
    2: Moves("workers are killed in a loop", (metrics.ADOPTED, metrics.SWEPT), "as in 1"),
    3: Moves("one task is delivered many times", (metrics.REFUSED,), "each delivery but one"),
    4: Moves("a worker is frozen past its lease", (metrics.LEASES_LOST, metrics.ADOPTED), "once it thaws; its heir adopts"),
    5: Moves("the engine restarts", (metrics.SERVICE_ERRORS, metrics.RETRIED), "`docker`; cause `infrastructure`"),
    6: Moves("the engine's socket fails", (metrics.SERVICE_ERRORS, metrics.STEP_ERRORS), "`docker`"),
    7: Moves("somebody removes a container", (metrics.ENDED,), "cause `container_lost`"),
    8: Moves("a registry fails", (metrics.ENDED, metrics.STEP_ERRORS), "cause `image`; step `start`"),
    9: Moves("a program ignores SIGTERM", (metrics.ENDED,), "causes `timeout` and `cancelled`"),
    10: Moves("somebody cancels", (metrics.ENDED,), "cause `cancelled`"),
    11: Moves("object storage fails", (metrics.SERVICE_ERRORS, metrics.STEP_ERRORS), "`s3`; step `upload`"),
    12: Moves("MongoDB fails", (metrics.SERVICE_ERRORS, metrics.SERVER_UP), "`mongodb`"),
    13: Moves(
        "Redis fails", (metrics.SERVICE_ERRORS, metrics.SERVER_UP, metrics.SWEPT), "`redis`; action `enqueue` if it lost all"
    ),
    14: Moves("a worker dies before it claims", (metrics.RESCUED, metrics.SWEPT), "the next worker puts the entry back"),
    15: Moves("a worker is told to stop", (metrics.HEALTH, metrics.ADOPTED), "`draining`; who goes on adopts"),
    16: Moves("a clock jumps", (metrics.CLOCK, metrics.LEASES_LOST), "the offset shows it; a lease may change hands"),
    17: Moves("the spool's disk is full", (metrics.STEP_ERRORS, metrics.ENDED), "`spool`; cause `upload` if the log is lost"),
    18: Moves("statistics hang", (metrics.FIGURES_MISSING,), "`cpu_percent`, without any sample"),
    19: Moves("faults at random", (metrics.ENDED, metrics.RETRIED, metrics.ADOPTED), "by cause"),
    20: Moves("the engine's events overflow", (metrics.ENDED,), "causes `exit` and `signal`; none is retried"),
    21: Moves("installations share a queue", (metrics.FOREIGN,), "each foreign job that was put back"),
    22: Moves("a worker has no descriptors", (metrics.SERVICE_ERRORS, metrics.STEP_ERRORS), "any service; `process_open_fds`"),
    23: Moves("the database is a copy", (metrics.HEALTH,), "`database` and `ready` are 0"),
    24: Moves("MongoDB is slow", (metrics.LEASE_RENEWAL,), "the buckets of some seconds"),
}
"""By the number of the rows in docs/reliability.md."""


def metrics_page() -> str:
    """All metrics, and the table of faults."""
    return f"{NOTICE}{_HEAD}\n{table('metric', 'type', 'labels', 'meaning', rows=_rows())}{_FAULTS}\n{_faults()}"


def _rows() -> Iterator[tuple[str, ...]]:
    for metric in metrics.declared():
        yield f"`{metric.name}`", _kind(metric), _labels(metric), metric.help


def _kind(metric: Metric) -> str:
    return "counter" if isinstance(metric, Counter) else "histogram" if isinstance(metric, Histogram) else "gauge"


def _labels(metric: Metric) -> str:
    """Each label with its values, as far as these are known in advance."""
    values = [dict.fromkeys(series[place] for series in metric.series) for place in range(len(metric.labels))]
    known = (f": {', '.join(map(str, each))}" if each else "" for each in values)
    return "; ".join(f"`{label}`{told}" for label, told in zip(metric.labels, known, strict=True)) or "-"


def _faults() -> str:
    rows = (
        (str(number), moves.fault, ", ".join(f"`{metric.name}`" for metric in moves.metrics), moves.how)
        for number, moves in FAULTS.items()
    )
    return table("#", "fault", "moves", "how", rows=rows)


_HEAD = """\
# Metrics

A worker with [HEALTH_PORT](settings.md) answers `GET /metrics` for Prometheus. [Operate](../operate.md#monitor-with-prometheus)
shows how to scrape it, and has the alerts. A server tells the same of itself.

- Counters begin at 0 with the process, and a worker that is killed takes its numbers with it: use `rate` and `increase`.
- No label is the id of a task. A value that is not in this table is counted as `other`.
- Gauges of the queue and the database are asked for at a scrape, every 5 s at most; each process tells the same, so take `max`.
  If the server does not answer within a second they are left out, and `orchestrator_server_up` is 0.
- A task that is cancelled while it waits is ended by the process that cancels it, and counted there.
- `process_*` and `python_gc_*` are those of the client library.
"""
_FAULTS = """
## Faults

[What the worker survives](../reliability.md) has rows with these numbers. Of each, at least one metric moves.
"""
