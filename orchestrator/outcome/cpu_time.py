"""The limit on CPU time: how long it lasts at least, and whether it is used up. Pure."""

from math import inf

from orchestrator.outcome.usage import PeakCounters
from orchestrator.ports import Figure
from orchestrator.task.limits import Limits

_LOOK, _LOOK_AT_SAMPLES = 0.1, 1.0


def lasts(limits: Limits, counted: PeakCounters, sampled: PeakCounters) -> float:
    """Seconds of wall time until the CPU time can be up at the earliest, or until it is worth another look.

    A program gets ``limits.cpus`` at most. What the kernel counts can be looked at 10 times a second, samples come once.
    """
    if limits.cpu_time is None:
        return inf
    return max((limits.cpu_time - _used(counted, sampled)) / limits.cpus, _LOOK if counted.figures else _LOOK_AT_SAMPLES)


def used_up(limits: Limits, counted: PeakCounters, sampled: PeakCounters) -> bool:
    """Whether all processes together have used the CPU time."""
    return limits.cpu_time is not None and _used(counted, sampled) >= limits.cpu_time


def _used(counted: PeakCounters, sampled: PeakCounters) -> float:
    return counted.with_(sampled).get(Figure.CPU_TIME, 0)
