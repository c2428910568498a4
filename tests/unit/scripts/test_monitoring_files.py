"""Alerts, dashboard and pages name metrics that there are; each alert has a section, and each fault has a metric that moves."""

import json
import re
from pathlib import Path

import pytest

from orchestrator.metrics.declarations import declared
from scripts.metrics_page import FAULTS
from tests.support.fault_rows import Row

ROOT = Path(__file__).parents[3]
MONITORING = ROOT / "deploy" / "monitoring"
NAMES = {metric.name for metric in declared()}
ALERTS = (MONITORING / "alerts.yml").read_text(encoding="utf-8")
RAISED = re.findall(r"- alert: (\w+)", ALERTS)
OPERATE = (ROOT / "docs" / "operate.md").read_text(encoding="utf-8")
PAGE = (ROOT / "docs" / "reference" / "metrics.md").read_text(encoding="utf-8")
DASHBOARD = MONITORING / "grafana" / "dashboards" / "orchestrator.json"
FILES = (
    MONITORING / "alerts.yml",
    MONITORING / "alerts_test.yml",
    DASHBOARD,
    ROOT / "docs/operate.md",
    ROOT / "docs/how-to.md",
)


def named(text: str) -> set[str]:
    """The metrics that a text names, without what a histogram adds to its name."""
    found = re.findall(r"\borchestrator_[a-z_]+", text)
    return {name if name in NAMES else re.sub("_(bucket|count|sum)$", "", name) for name in found}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_metric_that_is_named_is_there(path: Path) -> None:
    """A query for another one answers nothing, for ever."""
    assert named(path.read_text(encoding="utf-8")) - NAMES == set()


def test_each_alert_has_a_section_that_says_what_to_do() -> None:
    """Under its name, and its runbook leads there. No section is left of one that is gone."""
    assert len(RAISED) == len({*RAISED}) > 10
    assert re.findall(r"runbook: docs/operate\.md#(\w+)", ALERTS) == [name.lower() for name in RAISED]
    assert re.findall(r"(?m)^### (Orchestrator\w+)$", OPERATE) == RAISED


def test_each_alert_has_a_test_that_raises_it() -> None:
    """And is among those that stay silent while all is well."""
    text = (MONITORING / "alerts_test.yml").read_text(encoding="utf-8")
    silent, *cases = text.split("  - name: ")[1:]
    assert re.findall(r"alertname: (\w+)", silent) == RAISED
    assert {name for case in cases if "exp_alerts" in case for name in re.findall(r"alertname: (\w+)", case)} == {*RAISED}


def test_each_row_of_the_reliability_page_has_a_metric_that_moves() -> None:
    """By the number of the fault, in the page and in the suite that makes it."""
    page = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    rows = {int(number) for number in re.findall(r"(?m)^\| (\d+) \|", page)}
    assert rows == {row.number for row in Row} == {*FAULTS}
    assert all(moves.metrics for moves in FAULTS.values())
    table = PAGE.partition("## Faults")[2]
    assert [int(number) for number in re.findall(r"(?m)^\| (\d+) \|", table)] == sorted(rows)
    assert all(named(line) for line in table.splitlines() if re.match(r"\| \d+ \|", line))
    assert named(table) <= NAMES


def test_the_dashboard_is_small_and_no_panel_lies_on_another() -> None:
    """Grafana would push them apart, in an order of its own."""
    assert DASHBOARD.stat().st_size < 100_000
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    cells = [
        (place["x"] + right, place["y"] + down)
        for place in (panel["gridPos"] for panel in panels)
        for right in range(place["w"])
        for down in range(place["h"])
    ]
    assert len(cells) == len({*cells})
    assert max(right for right, _ in cells) < 24
    assert all(panel["targets"] and panel["description"] for panel in panels if panel["type"] != "row")
