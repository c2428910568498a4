"""Writes the files that are made from the code; with --check only says which of them are stale, and exits 1 if any is."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from scripts.cli_page import cli_page
from scripts.layers import layers_page
from scripts.pages import causes_page, environment_example, index_page, schema_file, settings_page, transitions_page
from scripts.sequence import sequence_page
from statemachine import INITIAL, TABLE
from statemachine.diagrams import state_diagram, state_picture

ROOT = Path(__file__).parents[1]
GENERATED: Mapping[str, Callable[[], str]] = {
    ".env.example": environment_example,
    "diagrams/README.md": index_page,
    "diagrams/layers.md": layers_page,
    "diagrams/sequence.md": sequence_page,
    "diagrams/states.mmd": lambda: state_diagram(TABLE, INITIAL),
    "diagrams/states.svg": lambda: state_picture(TABLE, INITIAL),
    "diagrams/transitions.md": transitions_page,
    "docs/reference/causes.md": causes_page,
    "docs/reference/cli.md": cli_page,
    "docs/reference/settings.md": settings_page,
    "docs/task.schema.json": schema_file,
}


def stale(root: Path) -> dict[Path, str]:
    """The files below ``root`` that are missing or not what the code makes of them, with what they should be."""
    made = {root / name: make() for name, make in GENERATED.items()}
    return {path: text for path, text in made.items() if not path.is_file() or path.read_text(encoding="utf-8") != text}


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
