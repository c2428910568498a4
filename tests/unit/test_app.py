"""Which jobs of a shared queue are for a task of this database."""

from collections.abc import Collection, Mapping
from pathlib import Path

import pytest

from orchestrator.adapters.redis.job import RUN_TASK, Call
from orchestrator.app import Services
from orchestrator.errors import InfrastructureError
from tests.support.world import World


@pytest.fixture
def services(tmp_path: Path) -> Services:
    """An installation that has the task t1."""
    services = World(tmp_path).services
    services.store.insert({"_id": "t1", "image": "busybox", "status": "queued"})
    return services


def call(task_id: object, deployment: str = "") -> Call:
    """A job for this task."""
    return Call(RUN_TASK, (task_id,), {}, deployment)


def test_a_job_that_says_whose_it_is_is_believed(services: Services) -> None:
    """Also for a task that has been deleted: its own worker takes it out of line."""
    own = services.deployment
    calls = [call("t1", own), call("deleted", own), call("t1", "another"), call("deleted", "another")]
    assert services.are_ours(calls) == [True, True, False, False]


def test_a_job_that_does_not_say_is_looked_for(services: Services) -> None:
    """What can be no task's id is nobody's else either, so it is taken, and fails here."""
    calls = [call("t1"), call("unknown"), call("\ud800"), call(5), call(""), Call(RUN_TASK)]
    assert services.are_ours(calls) == [True, False, True, True, True, True]
    assert services.are_ours([]) == []


@pytest.mark.parametrize("asked_before", [True, False])
def test_a_database_that_is_away_loses_no_job_of_another_installation(
    services: Services, monkeypatch: pytest.MonkeyPatch, *, asked_before: bool
) -> None:
    """What is not known to be of this one stays in line; a worker that took it would find no task, and drop it."""

    def away(_: Collection[str] = ()) -> Mapping[str, object]:
        raise InfrastructureError("mongodb", "away")

    known = services.deployment if asked_before else "this"
    monkeypatch.setattr(services.store, "standing", away)
    monkeypatch.setattr(services.store, "deployment", away)
    assert services.are_ours([call("t1"), call("unknown"), call("t1", "another")]) == [False] * 3
    assert services.are_ours([call("t1", known)]) == [asked_before]
