"""The layers of the package as a diagram: the contract that the linter checks, filled with the modules that are there."""

import sys
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import grimp
from attrs import frozen

from scripts.pages import NOTICE

OWN = ("orchestrator", "statemachine")


@frozen
class Layers:
    """The components of each layer, from the top, and for every component its modules and what those import."""

    rows: Sequence[Sequence[str]]
    modules: Mapping[str, Sequence[str]]
    imports: Mapping[str, frozenset[str]]


def layers_page() -> str:
    """The page with the diagram."""
    return f"{NOTICE}# Layers\n\n{_TEXT}\n```mermaid\n{flowchart(_found())}```\n"


_TEXT = """\
Each box is a package, or a module that stands alone. It may import what is below it and nothing beside or above it. The linter
checks this contract, "data flows one way", and a module that is in no layer fails it. The last line of a box names the
libraries that its modules use themselves. Arrows that follow from others are left out.
"""


def _found() -> Layers:
    graph = grimp.build_graph(*OWN, include_external_packages=True, cache_dir=None)
    rows = [[f"orchestrator.{part.strip()}" for part in layer.split("|")] for layer in _contract()] + [["statemachine"]]
    modules = {part: _whole(graph, part) for row in rows for part in row}
    imports = {part: _imported(graph, modules[part]) for part in modules}
    return Layers(rows, modules, imports)


def _contract() -> list[str]:
    settings = tomllib.loads(Path(__file__).parents[1].joinpath("pyproject.toml").read_text(encoding="utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    return next(contract["layers"] for contract in contracts if contract["type"] == "layers")


def _whole(graph: grimp.ImportGraph, part: str) -> list[str]:
    return [part, *sorted(graph.find_descendants(part))]


def _imported(graph: grimp.ImportGraph, modules: Iterable[str]) -> frozenset[str]:
    return frozenset().union(*(graph.find_modules_directly_imported_by(module) for module in modules))


def flowchart(layers: Layers) -> str:
    """The layers for mermaid: what is below, without arrows that follow from others, and what should not be imported."""
    depth = {part: index for index, row in enumerate(layers.rows) for part in row}
    foreign = {part: layers.imports[part].difference(layers.modules[part]) for part in depth}
    needs = {part: {other for other in depth if foreign[part].intersection(layers.modules[other])} for part in depth}
    below = {part: {other for other in needs[part] if depth[other] > depth[part]} for part in depth}
    return "flowchart TB\n" + "".join(
        [
            *(f'    {part}["{_words(layers, part)}"]\n' for part in depth),
            *(f"    {part} --> {other}\n" for part in depth for other in sorted(below[part] - _further(below, part))),
            *(
                f"    {part} -. breaks the contract .-> {other}\n"
                for part in depth
                for other in sorted(needs[part] - below[part])
            ),
        ]
    )


def _further(below: Mapping[str, set[str]], part: str) -> set[str]:
    """What is reached by more than one arrow."""
    beyond = [below[other] | _further(below, other) for other in below[part]]
    return set().union(*beyond)


def _words(layers: Layers, part: str) -> str:
    inside = [module.removeprefix(f"{part}.") for module in layers.modules[part] if module != part]
    libraries = {name for name in layers.imports[part] if not name.startswith(OWN)} - sys.stdlib_module_names
    lines = [f"<b>{part}</b>", ", ".join(inside), f"<i>{', '.join(sorted(libraries))}</i>" if libraries else ""]
    return "<br>".join(line for line in lines if line)
