"""In a whole run each write waits for a majority and its journal, and each read is of what a majority has."""

from functools import partial
from pathlib import Path

import pytest
from attrs import evolve
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

from orchestrator.adapters.mongo import client as mongo
from orchestrator.client import Client
from orchestrator.settings.settings import Settings
from orchestrator.wiring import connect
from statemachine import State
from tests.support.pace import IMAGE, WHERE

WRITES = {"insert", "update", "delete", "findAndModify", "createIndexes"}
READS = {"find", "aggregate", "count", "distinct"}
NEITHER = {"hello", "ping", "saslStart", "saslContinue", "getMore", "killCursors", "endSessions", "listCollections"}
"""They sign in, tell the time or the state of the server or what it calls a collection, or go on with a read."""
MAJORITY = {"w": "majority", "j": True}


class Commands(CommandListener):
    """Notes each command that goes to MongoDB."""

    def __init__(self) -> None:
        self.writes: list[tuple[str, object]] = []
        self.reads: list[tuple[str, object]] = []
        self.unknown: set[str] = set()

    def started(self, event: CommandStartedEvent) -> None:
        """Sort it by what it does."""
        if event.command_name in WRITES:
            self.writes.append((event.command_name, event.command.get("writeConcern")))
        elif event.command_name in READS:
            self.reads.append((event.command_name, event.command.get("readConcern")))
        elif event.command_name not in NEITHER:
            self.unknown.add(event.command_name)

    def succeeded(self, event: CommandSucceededEvent) -> None:
        """The request was noted already."""

    def failed(self, event: CommandFailedEvent) -> None:
        """The same."""


def test_every_write_and_read_of_a_run_asks_for_a_majority(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of client, worker and sweep: a task that succeeds, one that is cancelled, one that is unreadable, one that is lost."""
    commands = Commands()
    monkeypatch.setattr(mongo, "MongoClient", partial(mongo.MongoClient, event_listeners=[commands]))
    services = connect(evolve(settings, spool_dir=tmp_path / "spool", docker_host=WHERE, sweep_interval=0.1))
    services.prepare()
    client = Client(services)
    done = client.submit({"image": IMAGE, "command": ["echo", "hello"]})
    assert services.runner.run(done.id)
    assert client.get(done.id).status is State.SUCCEEDED
    assert client.cancel(client.submit({"image": IMAGE}).id).status is State.FAILED
    services.store.insert({"_id": "unreadable", "status": "running", "history": 5})
    services.store.insert({"_id": "lost", "status": "queued", "image": IMAGE, "command": "true"})
    services.runner.leases.beat()
    services.sweep(services.runner.run).once(30)
    assert [event.status for event in client.watch(done.id)][-1] is State.SUCCEEDED
    assert [task.id for task in client.list()]
    services.store.close()
    assert commands.unknown == set()
    assert {name for name, _ in commands.writes} == {"insert", "update", "createIndexes"}
    assert [(name, asked) for name, asked in commands.writes if asked != MAJORITY] == []
    assert {name for name, _ in commands.reads} == {"find"}
    assert [(name, asked) for name, asked in commands.reads if asked != {"level": "majority"}] == []
