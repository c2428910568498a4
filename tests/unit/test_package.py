"""What `from orchestrator import Client` gives a program, and what it costs one that does not ask for it."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

import orchestrator
from orchestrator import Client, wiring
from orchestrator import client as client_module
from orchestrator.app import Services
from orchestrator.errors import SettingsError
from orchestrator.folder_lock import hold
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
    assert orchestrator.__all__ == ["AsyncClient", "Client", "Event", "Missed", "Piece", "Point", "Series", "Stats", "Stream"]
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
    adapters = [services.store, services.events, services.queue, services.lock, services.live, services.logs, services.engine]
    assert [close.__self__ for close in services.closing] == adapters
    made = [services.store.find, services.events.publish, services.queue.enqueue, services.lock.hold, services.logs.get]
    assert len({type(method.__wrapped__.__self__) for method in [*made, services.live.append, services.engine.host]}) == len(
        adapters
    )
    for _ in range(2):
        services.close()


def test_only_what_was_made_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """To make the others would take their libraries; an adapter that is used after that is made again, and closed again."""
    seen: list[str] = []

    def make(_: Settings) -> SimpleNamespace:
        seen.append("made")
        return SimpleNamespace(enqueue=id, close=lambda: seen.append("closed"))

    for name in ("store", "events", "lock", "logs", "engine"):
        monkeypatch.setattr(wiring, f"_{name}", lambda _: pytest.fail("made"))
    monkeypatch.setattr(wiring, "_queue", make)
    services = connect(Settings())
    services.close()
    assert seen == []
    for _ in range(2):
        assert services.queue.enqueue("a") == services.queue.enqueue("a")
        services.close()
        services.close()
    assert seen == ["made", "closed"] * 2


def test_a_client_imports_the_libraries_of_what_it_uses(tmp_path: Path) -> None:
    """Handing in a task and looking at it take neither object storage's nor Docker's, which take as long again."""
    code = "import sys; from orchestrator import Client; Client.from_env().close(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    libraries = {"docker", "requests", "minio", "urllib3", "pymongo", "redis", "rq", "rich", "click"}
    assert libraries & set(done.stdout.split()) == {"pymongo", "redis"}


@pytest.mark.parametrize("variable_of_it", ["MINIO_ENDPOINT", "DOCKER_HOST"])
def test_a_setting_of_what_a_client_may_never_use_is_refused_when_it_does(
    folder: Path, monkeypatch: pytest.MonkeyPatch, variable_of_it: str
) -> None:
    """In the words in which a worker refuses it at start."""
    monkeypatch.setenv(variable_of_it, "http://a b")
    with Client.from_env() as client, pytest.raises(SettingsError, match=variable_of_it):
        _ = client.services.logs.get if variable_of_it.startswith("MINIO") else client.services.engine.host
    assert folder.is_dir()


@pytest.mark.parametrize("variable_of_it", ["MONGO_URI", "REDIS_URL"])
def test_what_handing_in_takes_is_refused_at_once(folder: Path, monkeypatch: pytest.MonkeyPatch, variable_of_it: str) -> None:
    """A task that is stored must not find that there is no queue."""
    monkeypatch.setenv(variable_of_it, "nonsense")
    with pytest.raises(SettingsError, match=variable_of_it):
        Client.from_env()
    assert folder.is_dir()
