"""Sums up samples of CPU and memory while they come, in constant space."""

from attrs import define

from orchestrator.ports import Sample
from orchestrator.task import Metrics, Usage


@define
class Meter:
    """Running maximum and mean of the samples of one run. Written by one thread; a reader may be a sample behind."""

    samples: int = 0
    cpu_max: float = 0.0
    cpu_sum: float = 0.0
    memory_max: int = 0
    memory_sum: int = 0

    def add(self, sample: Sample) -> None:
        """Take one more sample into account."""
        self.cpu_max = max(self.cpu_max, sample.cpu_percent)
        self.cpu_sum += sample.cpu_percent
        self.memory_max = max(self.memory_max, sample.memory_bytes)
        self.memory_sum += sample.memory_bytes
        self.samples += 1

    def summary(self, duration: float) -> Metrics:
        """The metrics of a run of ``duration`` seconds; without a sample both usages are null, not invented zeros."""
        if not self.samples:
            return Metrics(None, None, 0, round(duration, 3))
        cpu = Usage(round(self.cpu_max, 2), round(self.cpu_sum / self.samples, 2))
        memory = Usage(self.memory_max, self.memory_sum // self.samples)
        return Metrics(cpu, memory, self.samples, round(duration, 3))
