"""Figures about many tasks and the workers: how much waits, how much gets done, how long it takes, and how it ends."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from attrs import asdict, frozen

from orchestrator.ports import Queue, QueueDepth, TaskStore, WorkerRecord
from orchestrator.task.values import Document
from statemachine import TERMINAL, State

_BUCKETS = 60


@frozen
class Quantiles:
    """In seconds: half, and 95 of 100, took no longer; None when there were none."""

    p50: float | None
    p95: float | None

    @classmethod
    def of(cls, values: Iterable[float]) -> "Quantiles":
        """By nearest rank: each is one of the values."""
        ordered = sorted(values)
        return cls(*(round(ordered[math.ceil(part * len(ordered)) - 1], 3) if ordered else None for part in (0.5, 0.95)))


@frozen
class Bucket:
    """How many tasks started and finished from ``at`` on; ``failed`` are those of the finished that did not succeed."""

    at: datetime
    started: int
    finished: int
    failed: int


@frozen
class Stats:
    """What a deployment does. What has no other time is of the last ``window`` seconds before ``at``."""

    at: datetime
    window: float
    queue: QueueDepth
    tasks: Mapping[State, int]
    """All that are stored, by status."""
    more: frozenset[State]
    """The statuses of which there are more than told: a store that has to read what it counts does not count for long."""
    started: int
    finished: int
    wait: Quantiles
    """From being handed in to the start of the program, of tasks that started in their first attempt."""
    run: Quantiles
    """The program's own time, by the engine's clock, of tasks that ended."""
    ends: Mapping[State, int]
    causes: Mapping[str, int]
    over_time: tuple[Bucket, ...]
    workers: tuple[WorkerRecord, ...]

    def per_minute(self, number: int) -> float:
        """A number of tasks of the window as a rate."""
        return round(number * 60 / self.window, 3)

    def document(self) -> dict[str, object]:
        """The figures as JSON has them; times are datetimes still."""
        return {
            "at": self.at,
            "window": self.window,
            "queue": {"length": self.queue.jobs, "oldest_seconds": _rounded(self.queue.oldest)},
            "tasks": {str(state): number for state, number in self.tasks.items()},
            "tasks_more": sorted(map(str, self.more)),
            "rates": {
                "started_per_minute": self.per_minute(self.started),
                "finished_per_minute": self.per_minute(self.finished),
            },
            "wait_seconds": asdict(self.wait),
            "run_seconds": asdict(self.run),
            "ends": {str(state): number for state, number in self.ends.items()},
            "causes": dict(self.causes),
            "over_time": [asdict(bucket) for bucket in self.over_time],
            "workers": [asdict(worker) for worker in self.workers],
        }


def stats(store: TaskStore, queue: Queue, at: datetime, window: float) -> Stats:
    """The figures of the last ``window`` seconds, or of a shorter time when more tasks ended than can be looked at."""
    most, counts = store.most_ended(), store.counts()
    ended = store.ended(at - timedelta(seconds=window), most)
    if len(ended) == most:
        window = min(max((at - _times(ended, "finished_at")[-1]).total_seconds(), 1.0), window)
    since = at - timedelta(seconds=window)
    began = [each for each in (*ended, *store.begun()) if (start := _time(each, "started_at")) and start >= since]
    return Stats(
        at,
        window,
        queue.depth(),
        {State(status): number for status, number in counts.by_status.items()},
        frozenset(map(State, counts.more)),
        len(began),
        len(ended),
        Quantiles.of(_waits(began)),
        Quantiles.of(_runs(ended)),
        {state: sum(each.get("status") == state for each in ended) for state in State if state in TERMINAL},
        dict(Counter(str(each["cause"]) for each in ended if each.get("cause")).most_common()),
        _over_time(began, ended, since, window),
        tuple(queue.records()),
    )


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)


def _over_time(began: Sequence[Document], ended: Sequence[Document], since: datetime, window: float) -> tuple[Bucket, ...]:
    number = min(_BUCKETS, max(math.floor(window), 1))
    width = window / number

    def places(times: Iterable[datetime]) -> Counter[int]:
        return Counter(min(max(int((time - since).total_seconds() / width), 0), number - 1) for time in times)

    bad = [each for each in ended if each.get("status") != State.SUCCEEDED]
    columns = (places(_times(began, "started_at")), *(places(_times(some, "finished_at")) for some in (ended, bad)))
    starts = [since + timedelta(seconds=width * place) for place in range(number)]
    return tuple(Bucket(start, *(column[place] for column in columns)) for place, start in enumerate(starts))


def _waits(began: Iterable[Document]) -> Iterable[float]:
    for each in began:
        made, start = _time(each, "created_at"), _time(each, "started_at")
        if made and start and each.get("attempt") == 1:
            yield max((start - made).total_seconds(), 0.0)


def _runs(ended: Iterable[Document]) -> Iterable[float]:
    for each in ended:
        metrics = each.get("metrics")
        duration = metrics.get("duration_s") if isinstance(metrics, Mapping) else None
        if isinstance(duration, int | float):
            yield float(duration)


def _times(documents: Iterable[Document], name: str) -> list[datetime]:
    return [time for each in documents if (time := _time(each, name))]


def _time(document: Document, name: str) -> datetime | None:
    """A foreign hand may have written something else there."""
    value = document.get(name)
    return value if isinstance(value, datetime) else None
