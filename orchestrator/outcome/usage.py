"""Sums up what a program used: samples of CPU and memory while they come, in constant space, and what was counted.

Also whether that has used up its CPU time.
"""

from collections.abc import Callable
from math import inf
from typing import Any

from attrs import define, field

from orchestrator.ports import Counters, Figure, Sample
from orchestrator.task.limits import Limits
from orchestrator.task.values import Metrics, Usage


def _seconds(value: float) -> float:
    return round(value, 3)


@define
class PeakCounters:
    """Each figure with the source that said most of it: none ever falls, so the largest is the last, or the top of a peak.

    ``missing`` says why a figure is not known, ``uncounted`` why the kernel's are not known at all.
    """

    figures: dict[Figure, tuple[float, str]] = field(factory=dict)
    missing: dict[Figure, str] = field(factory=dict)
    uncounted: str = ""

    def add(self, counted: Counters | None, uncounted: str = "") -> None:
        """Take one more reading into account, or the reason why there is none."""
        self.uncounted = self.uncounted or uncounted
        self.missing.update(counted.missing if counted else {})
        for figure, value in (counted.figures if counted else {}).items():
            if counted and value >= self.get(figure, 0):
                self.figures[figure] = (value, counted.source)

    def get(self, figure: Figure, unknown: float) -> float:
        """The figure, or ``unknown`` when no source had it."""
        return self.figures[figure][0] if figure in self.figures else unknown

    def with_(self, other: "PeakCounters") -> "PeakCounters":
        """Both together."""
        theirs = {figure: said for figure, said in other.figures.copy().items() if said[0] > self.get(figure, -1)}
        return PeakCounters({**self.figures, **theirs}, {**other.missing, **self.missing}, self.uncounted or other.uncounted)

    def lacks(self, figure: Figure) -> str:
        """Why a figure is not known."""
        return self.missing.get(figure) or self.uncounted or _LACKS.get(figure, "the program ended before it could be read")


@define
class UsageMeter:
    """Running maximum and mean of the samples of one run. Written by one thread; a reader may be a sample behind."""

    samples: int = 0
    cpu_max: float = 0.0
    cpu_sum: float = 0.0
    memory_max: int = 0
    memory_sum: int = 0
    tally: PeakCounters = field(factory=PeakCounters)

    def add(self, sample: Sample) -> None:
        """Take one more sample into account."""
        self.cpu_max = max(self.cpu_max, sample.cpu_percent)
        self.cpu_sum += sample.cpu_percent
        self.memory_max = max(self.memory_max, sample.memory_bytes)
        self.memory_sum += sample.memory_bytes
        self.tally.add(sample.counted)
        self.samples += 1

    def summary(self, duration: float, tally: PeakCounters) -> Metrics:
        """The metrics of a run of ``duration`` seconds; without a sample both usages are null, not invented zeros.

        There is one figure for the most memory: the counted peak where there is one, else the largest sample.
        """
        cpu = Usage(round(self.cpu_max, 2), round(self.cpu_sum / self.samples, 2)) if self.samples else None
        known = {figure: said for figure, said in tally.figures.items() if figure in _MEASURES}
        if Figure.MEMORY_PEAK in known and known[Figure.MEMORY_PEAK][0] < self.memory_max:
            known[Figure.MEMORY_PEAK] = (self.memory_max, "samples")  # the peak was read before this sample
        most, by = known.get(Figure.MEMORY_PEAK, (self.memory_max, "samples"))
        memory = Usage(int(most), self.memory_sum // self.samples) if self.samples else None
        sampled = dict.fromkeys(("cpu_percent", "memory_bytes"), "samples") if self.samples else {}
        if memory:
            sampled["memory_bytes.max"] = by
        measured: dict[str, Any] = {figure.value: _MEASURES[figure](value) for figure, (value, _) in known.items()}
        return Metrics(
            cpu,
            memory,
            self.samples,
            round(duration, 3),
            source={"duration_s": "engine", **sampled, **{figure.value: source for figure, (_, source) in known.items()}},
            missing={figure.value: tally.lacks(figure) for figure in _MEASURES if figure not in known},
            **measured,
        )


def cpu_time_lasts(limits: Limits, counted: PeakCounters, sampled: PeakCounters) -> float:
    """Seconds of wall time until the CPU time can be up at the earliest, or until it is worth another look.

    A program gets ``limits.cpus`` at most. What the kernel counts can be looked at 10 times a second, samples come once.
    """
    if limits.cpu_time is None:
        return inf
    return max((limits.cpu_time - _used(counted, sampled)) / limits.cpus, _LOOK if counted.figures else _LOOK_AT_SAMPLES)


def cpu_time_is_up(limits: Limits, counted: PeakCounters, sampled: PeakCounters) -> bool:
    """Whether all processes together have used the CPU time."""
    return limits.cpu_time is not None and _used(counted, sampled) >= limits.cpu_time


def _used(counted: PeakCounters, sampled: PeakCounters) -> float:
    return counted.with_(sampled).get(Figure.CPU_TIME, 0)


_LOOK, _LOOK_AT_SAMPLES = 0.1, 1.0
_LACKS = {Figure.THROTTLED: "it is counted only while the container runs, and the program ended before it could be read"}
_MEASURES: dict[Figure, Callable[[float], float]] = {
    Figure.CPU_TIME: _seconds,
    Figure.THROTTLED: _seconds,
    Figure.MEMORY_PEAK: int,
    Figure.PIDS_PEAK: int,
}
