"""Handing in tasks: one by one and many at once."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.async_client import AsyncClient
from orchestrator.errors import DuplicateTask, InfrastructureError, InvalidTask
from orchestrator.task.document import Task
from orchestrator.testing.services import MemoryServices
from statemachine import State
from tests.support.faults import Fault, Guarded, Process, When

REQUEST = {"image": "busybox", "command": ("true",), "labels": {"team": "blue"}}


@pytest.fixture
def services() -> MemoryServices:
    """Services that live in this process."""
    return MemoryServices()


def test_the_task_that_comes_back_is_the_one_that_is_stored(services: MemoryServices) -> None:
    """Although nothing is read back."""
    task = services.client.submit(REQUEST, "mine")
    assert task == services.client.get("mine")
    assert (task.status, task.created_at and task.created_at.utcoffset()) == (State.QUEUED, timedelta(0))


def test_many_are_handed_in_like_one(services: MemoryServices) -> None:
    """Each is told of and in line, in the order of the requests, across batches."""
    with services.events.subscribe(None) as arriving:
        tasks = services.client.submit_many([REQUEST] * 600)
        told = [next(arriving) for _ in tasks]
    ids = [task.id for task in tasks if isinstance(task, Task)]
    assert [event and (event.task_id, event.seq) for event in told] == [(task_id, 0) for task_id in ids]
    assert len({*ids}) == 600
    assert [task.id for task in services.run_queued()] == ids


def test_of_many_each_is_refused_for_itself(services: MemoryServices) -> None:
    """With the error that it would have had alone; the others are handed in."""
    services.client.submit(REQUEST, "taken")
    requests = [REQUEST, {"image": 5}, REQUEST, {**REQUEST, "env": {"A": "\ud800"}}, REQUEST]
    results = services.client.submit_many(requests, ["t1", "t2", "taken", "t4", None])
    assert [type(result) for result in results] == [Task, InvalidTask, DuplicateTask, InvalidTask, Task]
    assert isinstance(results[1], InvalidTask)
    assert results[1].problems[0].startswith("image")
    assert len(services.run_queued()) == 3


def test_ids_are_for_all_requests_or_for_none(services: MemoryServices) -> None:
    """A list that is too short is a mistake of the caller's."""
    with pytest.raises(ValueError, match="shorter"):
        services.client.submit_many([REQUEST] * 300, map(str, range(299)))
    assert services.client.list() == []
    assert services.client.submit_many([]) == []


@pytest.mark.parametrize(("method", "stored"), [("insert_many", False), ("publish", True)])
def test_a_server_that_is_away_is_no_error_of_a_task(services: MemoryServices, method: str, stored: bool) -> None:  # noqa: FBT001
    """What was stored by then is found by the sweep."""
    process = Process([Fault(method, 1, When.BEFORE, InfrastructureError("server", "away"))])
    services.store = Guarded(process, services.store)
    services.events = Guarded(process, services.events)
    with pytest.raises(InfrastructureError):
        services.client.submit_many([REQUEST], ["mine"])
    assert (services.store.find("mine") is not None) is stored


def test_many_are_handed_in_from_a_loop(services: MemoryServices) -> None:
    """By one of its threads."""

    async def hand_in() -> list[object]:
        return list(await AsyncClient(services.client, None, None).submit_many([REQUEST, {"image": 5}]))

    assert [type(each) for each in asyncio.run(hand_in())] == [Task, InvalidTask]


def test_a_time_without_a_zone_is_one_of_utc(services: MemoryServices) -> None:
    """As the database takes it."""
    services.client.submit({"image": "busybox"})
    ago = (datetime.now(UTC) - timedelta(hours=1)).replace(tzinfo=None)
    assert len(services.client.list(since=ago)) == 1
    assert services.client.list(until=ago) == []
