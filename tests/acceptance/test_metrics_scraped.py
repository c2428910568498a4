"""Prometheus itself scrapes a worker process, and its tool finds nothing to say of what we expose and of our rules."""

import json
import os
import signal
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from orchestrator.client import Client
from orchestrator.embedded.ports import choose_ports
from orchestrator.metrics import declarations as metrics
from orchestrator.metrics.exporter import exposition
from orchestrator.metrics.metric import Histogram
from orchestrator.testing import MemoryServices
from scripts import monitoring
from tests.support import pace
from tests.support.containers import IMAGE
from tests.support.installation import PATIENCE, Installation
from tests.support.worker_process import until

DEPLOY = Path(__file__).parents[2] / "deploy" / "monitoring"
COMMANDS = {"succeeded": "echo well", "failed": "echo badly; exit 3"}


@pytest.fixture(scope="module")
def programs() -> dict[str, Path]:
    """Where Prometheus and its tool are."""
    return monitoring.found() or pytest.skip(monitoring.ADVICE)


class Prometheus:
    """A server that scrapes one address each second and evaluates our alerts."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}/api/v1/query?"

    def ask(self, query: str) -> dict[tuple[str, ...], float] | None:
        """The value of each series, by the values of its labels in the order of their names; None while it does not answer."""
        try:
            with urllib.request.urlopen(self._url + urllib.parse.urlencode({"query": query}), timeout=10) as answer:  # noqa: S310
                found = json.loads(answer.read())["data"]["result"]
        except (urllib.error.URLError, ConnectionError):
            return None
        return {_values(each["metric"]): float(each["value"][1]) for each in found}


def _values(labels: dict[str, str]) -> tuple[str, ...]:
    return tuple(value for name, value in sorted(labels.items()) if name not in {"__name__", "job", "instance"})


@contextmanager
def scraping(programs: dict[str, Path], folder: Path, worker: int) -> Iterator[Prometheus]:
    """A Prometheus of this test, with the alerts that are shipped."""
    (port,) = choose_ports(1)
    (folder / "prometheus.yml").write_text(f"""
global: {{ scrape_interval: 1s, evaluation_interval: 1s }}
rule_files: [{DEPLOY / "alerts.yml"}]
scrape_configs:
  - job_name: orchestrator
    static_configs: [{{ targets: ["127.0.0.1:{worker}"] }}]
""")
    options = [f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'series'}"]
    command = [programs["prometheus"], *options, f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn"]
    with (folder / "prometheus.log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, "GOMAXPROCS": "1"})
    try:
        yield Prometheus(port)
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(pace.seconds(PATIENCE))


def test_prometheus_reads_what_the_worker_did(
    installation: Installation, client: Client, programs: dict[str, Path], tmp_path: Path
) -> None:
    """Counters are those of the database, histograms are whole, gauges are there, and no alert is raised."""
    (port,) = choose_ports(1)
    installation.start(HEALTH_PORT=str(port), CONCURRENCY="2")
    tasks = [installation.submit(["sh", "-c", command]) for command in COMMANDS.values() for _ in range(2)]
    documents = [installation.ended(task_id) for task_id in tasks]
    waiting = client.submit({"image": IMAGE, "command": ["sleep", "300"]})
    until(lambda: installation.document(waiting.id)["status"] == "running", PATIENCE)
    client.cancel(waiting.id)
    documents.append(installation.ended(waiting.id))
    rows = [row for document in documents for row in document["history"]]
    stored = sum(document["logs"][stream]["bytes"] for document in documents for stream in ("stdout", "stderr"))
    with scraping(programs, tmp_path, port) as prometheus:
        until(lambda: sum((prometheus.ask("orchestrator_transitions_total") or {}).values()) == len(rows), PATIENCE)
        ended = {series: count for series, count in (prometheus.ask(metrics.ENDED.name) or {}).items() if count}
        assert ended == {("none", "succeeded"): 2, ("exit", "failed"): 2, ("cancelled", "failed"): 1}
        assert prometheus.ask(f"{metrics.UPLOADED.name}{{part='logs'}}") == {("logs",): stored}
        for histogram in (metrics.WAIT, metrics.RUN):
            assert prometheus.ask(f"{histogram.name}_count") == {(): 5}
            assert prometheus.ask(f"{histogram.name}_bucket{{le='+Inf'}}") == {("+Inf",): 5}
        assert prometheus.ask(metrics.SLOTS.name) == {(): 2}
        assert prometheus.ask(metrics.QUEUE_WORKERS.name) == {(): 1}
        assert prometheus.ask(metrics.SERVER_UP.name) == {("mongodb",): 1, ("redis",): 1}
        until(lambda: (prometheus.ask(metrics.HEALTH.name) or {}).get(("ready",)) == 1)
        assert prometheus.ask("up") == {(): 1}
        assert not prometheus.ask('ALERTS{alertstate="firing"}')
        for metric in metrics.declared():
            shown = f"{metric.name}_count" if isinstance(metric, Histogram) else metric.name
            assert prometheus.ask(shown), f"{shown} is not there"


def test_the_tool_finds_nothing_to_say_of_the_exposition(programs: dict[str, Path]) -> None:
    """Names, types, units and help are as Prometheus wants them."""
    services = MemoryServices()
    services.client.submit({"image": "a"})
    services.run_queued()
    _told_nothing([programs["promtool"], "check", "metrics"], exposition(services))


@pytest.mark.parametrize("check", [("check", "rules", "alerts.yml"), ("check", "config", "prometheus.yml")])
def test_the_tool_finds_the_files_well_formed(programs: dict[str, Path], check: tuple[str, ...]) -> None:
    """A rule that cannot be read keeps Prometheus from starting."""
    done = subprocess.run([programs["promtool"], *check], cwd=DEPLOY, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_each_alert_is_raised_for_what_it_is_for_and_for_nothing_else(programs: dict[str, Path]) -> None:
    """As the test of the rules says."""
    command = [programs["promtool"], "test", "rules", "alerts_test.yml"]
    done = subprocess.run(command, cwd=DEPLOY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def _told_nothing(command: list[object], given: bytes) -> None:
    done = subprocess.run([*map(str, command)], input=given, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
