"""What compose.yaml tells the worker is what the worker reads; and which libraries each package of ours may use."""

import re
import sys
from pathlib import Path

import grimp

from orchestrator.settings import options, variable

COMPOSE = (Path(__file__).parents[2] / "compose.yaml").read_text(encoding="utf-8")
PURE = {"attr", "attrs", "transitions"}


def test_every_variable_of_the_worker_is_a_setting() -> None:
    """A misspelt one would be passed over in silence."""
    (worker,) = re.findall(r"^  worker:\n(.*?)^\S", COMPOSE, re.MULTILINE | re.DOTALL)
    named = re.findall(r"^ {6}([A-Z_]+):", worker, re.MULTILINE)
    assert {"MONGO_URI", "REDIS_URL", "MINIO_ENDPOINT", "DOCKER_HOST"} < set(named)
    assert set(named) - {variable(option) for option in options()} == set()


def test_worker_and_object_storage_get_the_same_keys() -> None:
    """Wherever they are set."""
    for ours, theirs in (("MINIO_ACCESS_KEY", "MINIO_ROOT_USER"), ("MINIO_SECRET_KEY", "MINIO_ROOT_PASSWORD")):
        values = [re.findall(rf"^ {{6}}{name}: (.*)$", COMPOSE, re.MULTILINE) for name in (ours, theirs)]
        assert values[0] == values[1] == [f"${{{ours}:-minioadmin}}"]


def test_the_machine_needs_nothing_but_attrs_and_transitions() -> None:
    """And one module alone has the latter."""
    graph = grimp.build_graph("statemachine", include_external_packages=True, cache_dir=None)
    modules = {"statemachine", *graph.find_descendants("statemachine")}
    used = {module: graph.find_modules_directly_imported_by(module) - modules for module in modules}
    libraries = {module: {name for name in names if not _is_standard(name)} for module, names in used.items()}
    assert set().union(*libraries.values()) <= PURE
    assert [module for module, names in libraries.items() if "transitions" in names] == ["statemachine.lifecycle"]


def _is_standard(name: str) -> bool:
    return name.partition(".")[0] in sys.stdlib_module_names
