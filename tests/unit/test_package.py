"""What `from orchestrator import Client` gives a program, and what it costs one that does not ask for it."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import orchestrator
from orchestrator import Client
from orchestrator import client as client_module
from orchestrator.app import Services
from orchestrator.embedded.home import hold
from orchestrator.errors import SettingsError
from orchestrator.settings.environment import DATA, FILE, published
from orchestrator.settings.settings import Settings, options, variable
from orchestrator.wiring import connect
from tests.support.world import World

HEAVY = {"docker", "minio", "pymongo", "redis", "rq", "loguru", "attrs", "cattrs"}
OF_UP = {"MONGO_URI": "mongodb://of-up:1", "REDIS_URL": "redis://of-up:1", "MINIO_ENDPOINT": "of-up:9000", "QUEUE": "of-up"}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder, below one in which an `up` runs as far as clients can tell; no setting is in the environment."""
    for option in options():
        monkeypatch.delenv(variable(option), raising=False)
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    with hold(tmp_path / DATA), published(tmp_path / DATA / FILE, OF_UP):
        yield below


def test_the_package_alone_imports_no_library() -> None:
    """The command line's help imports it, too, and is to answer at once."""
    code = "import sys, orchestrator; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not HEAVY & set(done.stdout.split())


def test_the_client_is_the_one_of_its_module_and_no_other_name_is_there() -> None:
    """What is isinstance of the one is isinstance of the other."""
    assert Client is client_module.Client
    assert orchestrator.__all__ == ["Client"]
    with pytest.raises(AttributeError, match="module 'orchestrator' has no attribute 'Cleint'"):
        _ = orchestrator.Cleint


def test_a_client_finds_the_servers_of_an_up_above_the_current_folder(folder: Path) -> None:
    """Where its environment names none."""
    with Client.from_env() as client:
        found = client.services.settings
    assert folder == Path.cwd()
    assert (found.mongo_uri, found.redis_url, found.minio_endpoint, found.queue) == tuple(OF_UP.values())


def test_what_is_set_in_the_environment_wins(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Explicit is explicit."""
    monkeypatch.setenv("QUEUE", "mine")
    with Client.from_env() as client:
        assert client.services.settings.queue == "mine"
        assert client.services.settings.redis_url == OF_UP["REDIS_URL"]
    assert folder.is_dir()


def test_without_an_up_the_environment_is_all(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And one that is misspelt is named."""
    (tmp_path / DATA / FILE).unlink()
    with Client.from_env() as client:
        assert client.services.settings.queue == Settings().queue
    monkeypatch.setenv("CONCURRENCY", "none")
    with pytest.raises(SettingsError, match="CONCURRENCY"):
        Client.from_env()
    assert folder.is_dir()


def test_a_client_is_closed_at_the_end_of_its_block(tmp_path: Path) -> None:
    """Also after something that cannot be closed, and after an error in the block."""
    world, closed = World(tmp_path).services, []

    def fail() -> None:
        closed.append("fails")
        raise OSError("no")

    services = Services(
        *(getattr(world, name) for name in ("settings", "store", "events", "queue", "logs", "engine", "lock")),
        closing=(lambda: closed.append("one"), fail, lambda: closed.append("another")),
    )
    with pytest.raises(OSError, match="no"), Client(services):
        assert closed == []
    assert sorted(closed) == ["another", "fails", "one"]
    with pytest.raises(OSError, match="no"), Client(services):
        raise KeyError
    assert len(closed) == 6


def test_every_adapter_is_closed_and_may_be_twice() -> None:
    """One that was forgotten would keep its connections for as long as the program runs."""
    services = connect(Settings())
    adapters = [services.store, services.events, services.queue, services.lock, services.logs, services.engine]
    assert [close.__self__ for close in services.closing] == adapters
    for _ in range(2):
        services.close()
