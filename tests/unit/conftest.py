"""What unit tests share: an engine that answers as scripted, and time for property tests, whatever the machine is busy with."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from orchestrator.adapters.docker.engine import DockerEngine
from tests.unit.adapters.docker.engine_stub import NOW, Script, Stage, StubEngine, says

INFO = {"GET /info": says(200, {"ID": "engine", "SystemTime": NOW})}

settings.register_profile("unhurried", settings(deadline=None))
settings.load_profile("unhurried")


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """Makes a scripted engine and the adapter that talks to it, with half a second of patience."""
    made: list[tuple[StubEngine, DockerEngine]] = []

    def make(script: Script) -> tuple[StubEngine, DockerEngine]:
        stub = StubEngine(tmp_path, INFO | script).__enter__()
        made.append((stub, DockerEngine(stub.url, timeout=0.5, pull_stall=0.3)))
        return made[-1]

    yield make
    for stub, engine in made:
        engine.close()
        stub.__exit__()
