"""What a cause implies is one row of a table."""

from pathlib import Path

import pytest
from attrs import evolve

from orchestrator.cause import Cause, Rule
from orchestrator.cli.run import OWN_ERROR, exit_code
from orchestrator.testing.programs import Program
from statemachine import State
from tests.support.tasks import finished
from tests.support.world import World


def test_each_cause_has_its_row() -> None:
    """And a sentence of its own for people."""
    assert len({cause.rule.meaning for cause in Cause}) == len(Cause)
    assert all(" " in cause.rule.meaning for cause in Cause)


@pytest.mark.parametrize("cause", Cause)
def test_the_exit_code_of_run_follows_the_row(cause: Cause) -> None:
    """The program's own code where the row says so, and 125 otherwise."""
    task = evolve(finished(), cause=cause, exit_code=7)
    assert exit_code(task) == (7 if cause.rule.keeps_exit_code else OWN_ERROR)


def test_another_row_changes_what_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing else has to change for that: here the exit of a program is taken for final."""
    request = {"image": "busybox", "command": ["fails"], "retries": 1}
    for is_retried, attempts in ((True, 2), (False, 1)):
        monkeypatch.setattr(Cause.EXIT, "rule", Rule("it failed", is_retried=is_retried))
        world = World(tmp_path / str(attempts), {("fails",): Program(exit_code=3)})
        task = world.worker().run(world.client.submit(request).id)
        while task and task.status is State.QUEUED:
            task = world.worker().run(task.id)
        assert task
        assert task.attempt == attempts
