"""What the HTTP API tells of many tasks, as the package's own values."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from orchestrator.outcome.stats import Bucket, Quantiles, Stats
from orchestrator.ports import QueueDepth, WorkerRecord
from orchestrator.task.units import FOREVER
from statemachine import State

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_MOST = 9999
"""Of a unit in a time."""


def window_of(seconds: float) -> str:
    """As the API reads it, in the smallest unit that it can have. Raises ValueError as ``Client.stats`` does."""
    if not 1 <= seconds < FOREVER:
        raise ValueError(f"window: must be a number of seconds from 1 to below 30 years, not {seconds!r}")
    unit = next((unit for unit, size in _UNITS.items() if seconds // size <= _MOST), "d")
    return f"{min(int(seconds // _UNITS[unit]), _MOST)}{unit}"


def stats_of(told: Mapping[str, Any]) -> Stats:
    """The figures; their numbers are added up of those that were not rounded."""
    ends = {State(state): number for state, number in told["ends"].items()}
    buckets = tuple(Bucket(**{**each, "at": datetime.fromisoformat(each["at"])}) for each in told["over_time"])
    return Stats(
        at=datetime.fromisoformat(told["at"]),
        window=told["window"],
        queue=QueueDepth(told["queue"]["length"], told["queue"]["oldest_seconds"]),
        tasks={State(state): number for state, number in told["tasks"].items()},
        more=frozenset(map(State, told["tasks_more"])),
        started=sum(bucket.started for bucket in buckets),
        finished=sum(ends.values()),
        wait=Quantiles(**told["wait_seconds"]),
        run=Quantiles(**told["run_seconds"]),
        ends=ends,
        causes=told["causes"],
        over_time=buckets,
        workers=tuple(map(_worker, told["workers"])),
    )


def _worker(told: Mapping[str, Any]) -> WorkerRecord:
    times = {name: datetime.fromisoformat(told[name]) for name in ("started_at", "last_heartbeat")}
    return WorkerRecord(**{**told, **times, "tasks": tuple(told["tasks"])})
