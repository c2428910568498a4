"""How many calls to the servers a worker makes for one task, so that no more creep in."""

import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from attrs import frozen
from rq import Queue

from orchestrator.adapters.redis.client import redis_client
from orchestrator.client import Client
from tests.support.containers import IMAGE
from tests.support.installation import Installation
from tests.support.worker_process import until

MOST = {"docker": 8, "mongodb": 8, "redis": 8, "s3": 0}
"""Of a program that prints nothing and leaves nothing."""
MOST_WARM = MOST | {"docker": 6}
"""In a container that waited."""
_BESIDE = ("lease", "sweep", "engine", "warm", "Dummy")
"""Threads whose work is shared by all tasks."""
_TRIES = 4


@frozen
class Call:
    """A round trip to a server."""

    server: str
    thread: str
    call: str


_TAKEN = Call("redis", "MainThread", "BLMOVE")
"""How a worker waits for a job: the call that brought one."""


@pytest.fixture
def calls(installation: Installation, tmp_path: Path) -> Path:
    """What the worker has called so far. It sweeps once, at its start."""
    return _counted(installation, tmp_path)


@pytest.fixture
def warm_calls(installation: Installation, tmp_path: Path) -> Path:
    """The same of a worker that keeps as many containers waiting as there will be tasks. They wait."""
    notes = _counted(installation, tmp_path, WARM=f"{IMAGE}={_TRIES + 1}")
    until(lambda: notes.read_text().count("/start") == _TRIES + 1)
    return notes


def _counted(installation: Installation, folder: Path, **environment: str) -> Path:
    notes = folder / "calls.jsonl"
    notes.touch()
    command = (sys.executable, "-m", "tests.support.counting_worker", str(notes))
    installation.start(*command, SWEEP_INTERVAL="1000", LEASE_TTL="300", **environment)
    return notes


def test_a_task_that_does_nothing_takes_few_calls(installation: Installation, client: Client, calls: Path) -> None:
    """Of several tasks the one with the fewest counts: what the worker does every few seconds may fall into any of them."""
    _expect(MOST, installation, client, calls)


def test_a_task_in_a_container_that_waited_takes_fewer(installation: Installation, client: Client, warm_calls: Path) -> None:
    """It is neither made nor started then, nor attached to."""
    _expect(MOST_WARM, installation, client, warm_calls)


def _expect(most: Mapping[str, int], installation: Installation, client: Client, calls: Path) -> None:
    _through(installation, client)
    runs = [_calls_of_one(installation, client, calls) for _ in range(_TRIES)]
    fewest = {server: min((each for each in _by_server(runs, server)), key=len) for server in most}
    for server, made in fewest.items():
        print(f"{server}: {len(made)}", *(f"  {each.thread}: {each.call}" for each in made), sep="\n")  # noqa: T201
    counted = Counter({server: len(made) for server, made in fewest.items()})
    assert all(counted[server] <= number for server, number in most.items()), counted


def _by_server(runs: list[list[Call]], server: str) -> Iterator[list[Call]]:
    for run in runs:
        yield [each for each in run if each.server == server]


def _calls_of_one(installation: Installation, client: Client, calls: Path) -> list[Call]:
    before = len(calls.read_text().splitlines())
    _through(installation, client)
    made = [Call(**json.loads(line)) for line in calls.read_text().splitlines()[before:]]
    return [_TAKEN, *(each for each in made if not each.thread.startswith(_BESIDE) and not _is_idle(each))]


def _is_idle(call: Call) -> bool:
    """Whether the worker only waits for a job, or does what it does every few seconds."""
    return call.thread == "MainThread" and call.call in {"BLMOVE", "LRANGE"}


def _through(installation: Installation, client: Client) -> None:
    """A task to its end, and to the end of its job."""
    task_id = client.submit({"image": IMAGE, "command": ["true"]}).id
    until(lambda: installation.document(task_id).get("settled"))
    with redis_client(installation.settings) as redis:
        started = Queue(installation.settings.queue, connection=redis).started_job_registry
        until(lambda: not started.get_job_count(cleanup=False))
