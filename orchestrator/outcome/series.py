"""What a program used over time: points of a bounded number, taken from the samples and counts that are made anyway."""

import json
import time
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Self

from attrs import asdict, define, field, fields, frozen

from orchestrator.ports import Counters, Figure, Point, Sample

MOST = 3600
"""Points of an attempt. When there are more, every second one goes, and from then on every second one is taken."""
_UNSENT = 64
COLUMNS = tuple(attribute.name for attribute in fields(Point) if attribute.name != "attempt")


@frozen
class Series:
    """The points of an attempt, a row for each; after those of the first second they are ``interval`` seconds apart.

    ``columns`` names what is in a row: the first is ``t``, seconds since the program's start. None is what nobody could tell.
    """

    attempt: int
    interval: float
    columns: tuple[str, ...]
    points: tuple[tuple[float | None, ...], ...]

    def column(self, name: str) -> list[float]:
        """The values of one column, zero where there is none; empty when there is no such column."""
        if name not in self.columns:
            return []
        place = self.columns.index(name)
        return [row[place] or 0.0 for row in self.points]

    def to_json(self) -> bytes:
        """As it is stored."""
        return json.dumps(asdict(self), separators=(",", ":")).encode()

    @classmethod
    def from_json(cls, text: bytes) -> Self:
        """Read what was stored. Raises ValueError on anything else."""
        read = json.loads(text)
        try:
            points = tuple(tuple(row) for row in read["points"])
            return cls(int(read["attempt"]), float(read["interval"]), tuple(read["columns"]), points)
        except (KeyError, TypeError) as error:
            raise ValueError(f"it is no series of points: {error}") from None


@define(eq=False)
class Recording:
    """The points of an attempt while it runs. One thread adds; others may read."""

    attempt: int = 1
    unsent: deque[Point] = field(factory=lambda: deque(maxlen=_UNSENT))
    """What was not yet sent to those who follow; the oldest go when nobody takes them."""
    _began: float | None = None
    _points: list[Point] = field(factory=list)
    _stride: int = 1
    _seen: int = 0
    _last: tuple[float, float] = (0.0, 0.0)

    def begin(self, attempt: int, ran_for: float = 0.0) -> None:
        """The program has been running for so many seconds. Before this nothing is noted."""
        self.attempt, self._began = attempt, time.monotonic() - ran_for

    def look(self, counted: Counters | None) -> None:
        """Note a look at what the kernel counts: its memory is the peak so far. Such points are kept, but not sent."""
        if (at := self._now()) is None or counted is None or Figure.CPU_TIME not in counted.figures:
            return
        told = counted.figures
        percent = self._percent(at, told[Figure.CPU_TIME])
        memory, pids = int(told.get(Figure.MEMORY_PEAK, 0)), int(told.get(Figure.PIDS_PEAK, 0))
        self._keep(Point(self.attempt, at, percent, memory, pids, _rounded(told.get(Figure.THROTTLED))))

    def add(self, sample: Sample) -> None:
        """Note a sample of the engine's, and have it sent."""
        if (at := self._now()) is None:
            return
        told: Mapping[Figure, float] = sample.counted.figures if sample.counted else {}
        point = Point(
            self.attempt,
            at,
            round(sample.cpu_percent, 2),
            sample.memory_bytes,
            int(told.get(Figure.PIDS_PEAK, 0)),
            _rounded(told.get(Figure.THROTTLED)),
            sample.read_bytes,
            sample.written_bytes,
            sample.received_bytes,
            sample.sent_bytes,
        )
        self._keep(point)
        self.unsent.append(point)

    def take(self) -> Iterator[Point]:
        """What is to be sent."""
        while self.unsent:
            yield self.unsent.popleft()

    def series(self) -> Series | None:
        """All of it; None when there are no two points, which make no line."""
        points = self._points
        if len(points) < 2:  # noqa: PLR2004  a line has two ends
            return None
        rows = tuple(tuple(getattr(point, name) for name in COLUMNS) for point in points)
        return Series(self.attempt, float(self._stride), COLUMNS, rows)

    def _now(self) -> float | None:
        return None if self._began is None else round(time.monotonic() - self._began, 3)

    def _percent(self, at: float, cpu_time: float) -> float:
        """Of one core, since the look before."""
        (before, used), self._last = self._last, (at, cpu_time)
        return round(max(cpu_time - used, 0.0) / (at - before) * 100, 2) if at > before else 0.0

    def _keep(self, point: Point) -> None:
        if self._seen % self._stride == 0:
            self._points.append(point)
            if len(self._points) > MOST:
                self._points, self._stride = self._points[::2], self._stride * 2
        self._seen += 1


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
