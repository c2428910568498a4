"""Engines of the test's own with settings that no container can start with: each ends a task at its first attempt."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from orchestrator.adapters.docker.engine import DockerEngine
from orchestrator.errors import EngineUnfit, InfrastructureError
from tests.support.containers import Bench
from tests.support.fault_dockerd import Dockerd

pytestmark = pytest.mark.host
FLAGS = ("--init-path=/nosuch/init", "--add-runtime=gone=/nosuch/runc", "--add-runtime=mute=/bin/false")
CHANGES: Mapping[str, dict[str, Any]] = {
    "init-path": {},
    "path in `runtimes`": {"init": False, "runtime": "gone"},
    "RUNTIMES_ALLOWED": {"init": False, "runtime": "never-added"},
}


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    """A bench on such an engine."""
    with Dockerd(*FLAGS) as dockerd:
        engine = DockerEngine(dockerd.host)
        made = Bench(engine)
        yield made
        made.clear()
        engine.close()


@pytest.mark.parametrize(("setting", "changes"), CHANGES.items(), ids=CHANGES.keys())
def test_a_container_that_no_try_can_start_names_the_setting(bench: Bench, setting: str, changes: dict[str, Any]) -> None:
    """And what the same engine can do, it does."""
    with pytest.raises(EngineUnfit, match=setting):
        bench.run("true", **changes)
    assert bench.run("exit 3", init=False).state.exit_code == 3


def test_a_runtime_that_ends_without_a_word_may_only_be_short_of_something(bench: Bench) -> None:
    """So that is tried again."""
    with pytest.raises(InfrastructureError, match="did not terminate successfully") as caught:
        bench.run("true", init=False, runtime="mute")
    assert not isinstance(caught.value, EngineUnfit)
