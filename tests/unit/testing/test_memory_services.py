"""The services in memory are a feature: users test their own code on them, as docs/testing.md shows."""

import re
from pathlib import Path

import pytest

from orchestrator.cause import Cause
from orchestrator.settings.settings import Settings
from orchestrator.task.limits import Limits
from orchestrator.testing import FOREVER, MemoryServices, Program
from statemachine import State

PAGE = (Path(__file__).parents[3] / "docs" / "testing.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"(?ms)^```python\n(.*?)^```", PAGE)
EXAMPLE: dict[str, object] = {}
exec("\n".join(BLOCKS), EXAMPLE)  # noqa: S102  the page's own code
SHOWN = [name for name in EXAMPLE if name.startswith("test_")]


@pytest.mark.parametrize("name", SHOWN)
def test_the_example_of_the_page_holds(name: str) -> None:
    """Each of its tests, as it is printed there."""
    test = EXAMPLE[name]
    assert callable(test)
    test()


def test_the_page_has_an_example_and_names_what_there_is() -> None:
    """Nothing of the public API is left out."""
    assert len(SHOWN) == 5
    public = {name for name in vars(MemoryServices) if not name.startswith("_")}
    assert {name for name in public if f".{name}" not in PAGE} == set()


def test_what_is_queued_is_run_in_order() -> None:
    """And returned as it is stored."""
    services = MemoryServices({("fails",): Program(exit_code=3)})
    first = services.client.submit({"image": "a"})
    second = services.client.submit({"image": "a", "command": ["fails"], "retries": 1})
    ended = services.run_queued()
    assert [(task.id, task.status) for task in ended] == [(first.id, State.SUCCEEDED), (second.id, State.FAILED)]
    assert ended[1].attempt == 2
    assert services.run_queued() == []


def test_settings_are_those_of_a_worker() -> None:
    """Here the default of a limit."""
    services = MemoryServices({("sleeps",): FOREVER}, Settings(defaults=Limits(timeout=5.0)))
    task = services.client.submit({"image": "a", "command": ["sleeps"]})
    services.run_queued()
    ended = services.client.get(task.id)
    assert (ended.status, ended.cause) == (State.TIMED_OUT, Cause.TIMEOUT)
    assert "5 s" in (ended.message or "")


def test_each_has_its_own_tasks_and_leaves_no_folder() -> None:
    """Tests do not see each other."""
    one, other = MemoryServices(), MemoryServices()
    task = one.client.submit({"image": "a"})
    assert other.run_queued() == []
    assert [each.id for each in one.run_queued()] == [task.id]
    one.close()
    assert not one.settings.spool_dir.exists()


def test_a_cancelled_task_never_starts() -> None:
    """The client ends what waits."""
    services = MemoryServices()
    task = services.client.submit({"image": "a"})
    assert services.client.cancel(task.id).cause is Cause.CANCELLED
    assert services.run_queued() == []
    assert not services.engine.containers
