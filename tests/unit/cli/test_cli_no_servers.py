"""A client where nothing says which servers there are."""

import os
from pathlib import Path

import pytest
from click.testing import CliRunner
from pymongo.errors import AutoReconnect, OperationFailure

from orchestrator import wiring
from orchestrator.adapters.mongo.errors import translated
from orchestrator.cli import main
from orchestrator.testing.task_store import MemoryTaskStore

SENTENCE = "Error: no servers: `orchestrator up` does not run in this folder or above; start it or set MONGO_URI\n"


class _Away(MemoryTaskStore):
    """A database that fails."""

    error: Exception = AutoReconnect("localhost:27017: [Errno 111] Connection refused")

    def list(self, *_: object) -> list[dict[str, object]]:
        """Never."""
        with translated():
            raise self.error

    def deployment(self) -> str:
        """Never."""
        with translated():
            raise self.error


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> _Away:
    """The database of commands in an empty folder, with no setting in the environment."""
    for name in [name for name in os.environ if name.startswith(("MONGO_", "REDIS_", "MINIO_"))]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    store = _Away()
    monkeypatch.setattr(wiring, "_store", lambda _: store)
    return store


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize(("command", "code"), [(["list"], 1), (["run", "busybox"], 125)])
def test_it_is_said_in_place_of_the_drivers_words(command: list[str], code: int) -> None:
    """With the exit code of any server that is away."""
    told = CliRunner().invoke(main, command)
    assert (told.exit_code, told.stderr) == (code, SENTENCE)


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("name", ["MONGO_URI", "REDIS_URL", "MINIO_ENDPOINT"])
def test_where_a_server_is_named_the_driver_says_what_is_wrong_with_it(name: str) -> None:
    """By a variable or by `.env`."""
    value = {"MONGO_URI": "mongodb://h", "REDIS_URL": "redis://h", "MINIO_ENDPOINT": "h:1"}[name]
    assert "Connection refused" in CliRunner().invoke(main, ["list"], env={name: value}).stderr
    Path(".env").write_text(f"{name}={value}\n")
    assert "Connection refused" in CliRunner().invoke(main, ["list"]).stderr


def test_a_server_that_answers_is_there(store: _Away) -> None:
    """Even if it refuses."""
    store.error = OperationFailure("command find requires authentication")
    assert "requires authentication" in CliRunner().invoke(main, ["list"]).stderr
