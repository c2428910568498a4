"""Samples of a container's use of resources, from the engine's stream of readings."""

import json
from collections.abc import Iterator

from orchestrator.adapters.docker.client import DockerClient, Reading
from orchestrator.ports import Counters, Figure, Sample

SOURCE = "samples"
_SILENCE = 10.0


def samples(client: DockerClient, name: str, beside: int = 1) -> Iterator[Sample]:
    """About one sample each second, from the second reading on. The stream is opened when the first sample is requested.

    ``beside`` processes of the container are not the program's.

    Ends when the program has ended or the stream breaks. Raises ContainerMissing, and InfrastructureError if the stream does
    not open.
    """
    silence = min(_SILENCE, client.timeout)
    with client.stream("GET", f"/containers/{name}/stats", silence=silence, params={"stream": 1}) as response:
        try:
            yield from _samples(response.iter_lines(), beside)
        except (OSError, ValueError):
            return


def _samples(lines: Iterator[bytes], beside: int) -> Iterator[Sample]:
    for line in lines:
        reading = json.loads(line)
        if not reading["cpu_stats"].get("system_cpu_usage"):
            return  # it has exited, and such readings never end
        sample = sample_of(reading, beside)
        if sample:
            yield sample


def sample_of(reading: Reading, beside: int = 1) -> Sample | None:
    """CPU and memory as ``docker stats`` computes them; None for the first reading, because there is no earlier one.

    CPU is Δtotal_usage / Δsystem_cpu_usage x online CPUs x 100.
    """
    now, before = reading["cpu_stats"], reading["precpu_stats"]
    if not before.get("system_cpu_usage"):
        return None
    used = now["cpu_usage"]["total_usage"] - before["cpu_usage"]["total_usage"]
    passed = now["system_cpu_usage"] - before["system_cpu_usage"]
    cpus = now.get("online_cpus") or len(now["cpu_usage"].get("percpu_usage") or ())
    percent = used / passed * cpus * 100 if used > 0 and passed > 0 else 0.0
    memory = _memory(reading["memory_stats"])
    return Sample(percent, memory, Counters(SOURCE, _figures(reading, memory, beside)), *_blocks(reading), *_networks(reading))


def _figures(reading: Reading, memory: int, beside: int) -> dict[Figure, float]:
    """The engine's counts up to this reading. For peaks, the present values."""
    cpu = reading["cpu_stats"]
    return {
        Figure.CPU_TIME: cpu["cpu_usage"]["total_usage"] * 1e-9,
        Figure.THROTTLED: (cpu.get("throttling_data") or {}).get("throttled_time", 0) * 1e-9,
        Figure.MEMORY_PEAK: memory,
        Figure.PIDS_PEAK: max((reading.get("pids_stats") or {}).get("current", 0) - beside, 0),
    }


def _blocks(reading: Reading) -> tuple[int | None, int | None]:
    """Bytes read from and written to block devices; the engine has no list when nothing was, or when it cannot tell."""
    told = (reading.get("blkio_stats") or {}).get("io_service_bytes_recursive")
    if not told:
        return None, None
    read, written = (sum(int(each["value"]) for each in told if str(each["op"]).lower() == op) for op in ("read", "write"))
    return read, written


def _networks(reading: Reading) -> tuple[int | None, int | None]:
    """Bytes received and sent; none are told of a container without a network."""
    told = (reading.get("networks") or {}).values()
    if not told:
        return None, None
    received, sent = (sum(int(each.get(name, 0)) for each in told) for name in ("rx_bytes", "tx_bytes"))
    return received, sent


def _memory(stats: Reading) -> int:
    """Usage without inactive page cache: total_inactive_file on cgroup v1, inactive_file on v2."""
    usage = int(stats.get("usage", 0))
    detail = stats.get("stats") or {}
    for name in ("total_inactive_file", "inactive_file"):
        if name in detail and detail[name] < usage:
            return usage - int(detail[name])
    return usage
