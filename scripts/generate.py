"""Writes the files that are made from the code; with --check only says which of them are stale, and exits 1 if any is."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from scripts.cli_page import cli_page
from scripts.dashboard import dashboard
from scripts.http_page import http_page
from scripts.layers import layers_page
from scripts.metrics_page import metrics_page
from scripts.page_facts import page_facts
from scripts.pages import (
    causes_page,
    engine_faults_page,
    environment_example,
    index_page,
    limits_page,
    schema_file,
    settings_page,
    transitions_page,
)
from scripts.sequence import sequence_page
from scripts.state_diagram import state_diagram, state_graph, state_picture
from statemachine import INITIAL, TABLE

ROOT = Path(__file__).parents[1]
GENERATED: Mapping[str, Callable[[], str]] = {
    ".env.example": environment_example,
    "deploy/monitoring/grafana/dashboards/orchestrator.json": dashboard,
    "diagrams/README.md": index_page,
    "diagrams/layers.md": layers_page,
    "diagrams/sequence.md": sequence_page,
    "diagrams/states.mmd": lambda: state_diagram(TABLE, INITIAL),
    "diagrams/states.dot": lambda: state_graph(TABLE, INITIAL),
    "diagrams/transitions.md": transitions_page,
    "docs/reference/causes.md": causes_page,
    "docs/reference/cli.md": cli_page,
    "docs/reference/engine-faults.md": engine_faults_page,
    "docs/reference/http.md": http_page,
    "docs/reference/limits.md": limits_page,
    "docs/reference/metrics.md": metrics_page,
    "docs/reference/settings.md": settings_page,
    "docs/task.schema.json": schema_file,
    "web/src/generated/facts.json": page_facts,
}

DRAWN: Mapping[str, tuple[str, Callable[[], str]]] = {
    "diagrams/states.svg": ("diagrams/states.dot", lambda: state_picture(TABLE, INITIAL)),
}
"""Pictures, by what they are drawn from: only that is compared, because a picture depends on the machine's fonts."""


def stale(root: Path) -> dict[Path, str]:
    """The files below ``root`` that are missing or not what the code makes of them, with what they should be."""
    made = {root / name: make() for name, make in GENERATED.items()}
    found = {path: text for path, text in made.items() if not path.is_file() or path.read_text(encoding="utf-8") != text}
    old = [name for name, (source, _) in DRAWN.items() if root / source in found or not (root / name).is_file()]
    return found | {root / name: DRAWN[name][1]() for name in old}


def main(arguments: list[str]) -> int:
    """The exit code."""
    found = stale(ROOT)
    for path, text in found.items():
        print(f"{path.relative_to(ROOT)} is stale" if "--check" in arguments else f"wrote {path.relative_to(ROOT)}")
        if "--check" not in arguments:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    return 1 if found and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
