"""What Prometheus reads."""

from prometheus_client.parser import text_string_to_metric_families

from orchestrator.errors import InfrastructureError
from orchestrator.metrics import declarations as metrics
from orchestrator.metrics.exporter import exposition
from orchestrator.metrics.metric import Gauge, Histogram
from orchestrator.testing import MemoryServices, Program
from orchestrator.worker.health import Health, watch_worker

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]
WORKERS = (metrics.SLOTS, metrics.HELD, metrics.HEALTH)


def samples(services: MemoryServices) -> Samples:
    """Each line, by name and labels."""
    families = text_string_to_metric_families(exposition(services).decode())
    return {(each.name, tuple(sorted(each.labels.items()))): each.value for family in families for each in family.samples}


def test_it_tells_what_was_counted() -> None:
    """Counters, histograms and gauges, with their labels."""
    services = MemoryServices({("fails",): Program(exit_code=3)})
    for command in (["well"], ["fails"], ["fails"]):
        services.client.submit({"image": "a", "command": command})
    services.run_queued()
    services.client.submit({"image": "a"})
    told = samples(services)
    assert told["orchestrator_tasks_ended_total", (("cause", "none"), ("status", "succeeded"))] == 1
    assert told["orchestrator_tasks_ended_total", (("cause", "exit"), ("status", "failed"))] == 2
    assert told["orchestrator_tasks_ended_total", (("cause", "oom"), ("status", "failed"))] == 0
    assert told["orchestrator_step_seconds_bucket", (("le", "+Inf"), ("step", "upload"))] == 3
    assert told["orchestrator_step_seconds_count", (("step", "upload"),)] == 3
    assert told["orchestrator_queue_jobs", ()] == 1
    assert told["orchestrator_task_oldest_queued_seconds", ()] >= 0
    assert told["process_open_fds", ()] > 0


def test_every_metric_is_there_before_anything_has_happened() -> None:
    """But for the gauges of a worker, which a server does not have."""
    services = MemoryServices()
    names = {name for name, _ in samples(services)}
    for metric in metrics.declared():
        shown = f"{metric.name}_count" if isinstance(metric, Histogram) else metric.name
        assert (shown in names) == (metric not in WORKERS), metric.name


def test_a_worker_tells_its_slots_and_its_health() -> None:
    """The same as its probes."""
    services = MemoryServices()
    watch_worker(services.measured, 4, lambda: Health(alive=True, draining=True, tasks=3, database=False))
    told = samples(services)
    assert (told["orchestrator_worker_slots", ()], told["orchestrator_worker_tasks", ()]) == (4, 3)
    checks = {name: told["orchestrator_worker_health", (("check", name),)] for (name,) in metrics.HEALTH.series}
    assert checks == {"alive": 1, "ready": 0, "draining": 1, "engine": 1, "database": 0}


def test_a_server_that_is_away_costs_its_own_gauges_alone() -> None:
    """And is said to be away."""
    services = MemoryServices()

    def fail() -> None:
        raise InfrastructureError("redis", "away")

    services.queue.depth = fail  # type: ignore[method-assign,assignment]
    told = samples(services)
    assert told["orchestrator_server_up", (("server", "redis"),)] == 0
    assert told["orchestrator_server_up", (("server", "mongodb"),)] == 1
    assert not {name for name, _ in told if name.startswith("orchestrator_queue_")} - {
        "orchestrator_queue_foreign_total",
        "orchestrator_queue_rescued_total",
    }
    assert ("orchestrator_clock_offset_seconds", ()) in told


def test_a_gauge_is_no_counter() -> None:
    """The types are what they are declared as."""
    families = {family.name: family.type for family in text_string_to_metric_families(exposition(MemoryServices()).decode())}
    assert families["orchestrator_tasks_ended"] == "counter"
    assert families["orchestrator_task_run_seconds"] == "histogram"
    assert {families[metric.name] for metric in metrics.declared() if isinstance(metric, Gauge) and metric not in WORKERS} == {
        "gauge"
    }
