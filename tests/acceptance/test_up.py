"""`orchestrator up`: real servers and a worker from one folder, however they are stopped."""

import json
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from orchestrator.embedded import Embedded
from orchestrator.settings.environment import DATA, FILE, read
from orchestrator.settings.settings import Settings
from orchestrator.wiring import connect
from tests.support import pace
from tests.support.containers import library
from tests.support.up import IMAGE, Up, call
from tests.support.worker_process import until

SERVERS = ("valkey", "secantusdb", "seaweedfs")


def is_alive(pid: int) -> bool:
    """Whether there is such a process, other than one that only waits to be asked for its exit code."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@contextmanager
def a_running_task(up: Up, script: str) -> Iterator[None]:
    """A task, ``busy``, that runs when the block is entered."""
    assert up("submit", "--id", "busy", IMAGE, "sh", "-c", script).returncode == 0
    with up.client() as client:
        assert any(event.status == "running" for event in client.watch("busy"))
    yield


def document(up: Up, task_id: str) -> dict[str, object]:
    """The task as `show` has it."""
    return json.loads(up("show", "--json", task_id).stdout)


def test_it_says_what_runs_where_and_clients_below_its_folder_find_it(tmp_path: Path) -> None:
    """The whole of the first minute with it; passwords stay in a file of the user's own."""
    with Up(tmp_path, "--concurrency", "2") as up:
        said = "\n".join(up.said)
        with library() as engine:
            docker = f"Docker   {engine.version()['Version']}, "
        assert all(name in said for name in (*SERVERS, docker, "2 tasks at once", "orchestrator run IMAGE", "Ctrl-C"))
        assert f"page     {up.variables['ORCHESTRATOR_URL']}/?token={up.variables['ORCHESTRATOR_TOKEN']}" in up.said
        file = tmp_path / DATA / FILE
        assert file.stat().st_mode & 0o777 == 0o600
        assert not any(secret in said for secret in _passwords(file))
        (tmp_path / "below").mkdir()
        up.folder = tmp_path / "below"
        assert up("run", "-q", IMAGE, "echo", "hello").stdout == b"hello\n"
    assert not file.exists()


def _passwords(file: Path) -> list[str]:
    variables = dict(line.split("=", 1) for line in file.read_text().splitlines())
    return [variables["MINIO_SECRET_KEY"], variables["REDIS_URL"].split(":")[2].partition("@")[0]]


def test_a_second_one_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    """It says so, and the first one does not notice."""
    with Up(tmp_path) as up:
        second = up("up")
        assert second.returncode == 1
        assert (
            second.stderr.decode()
            == f"Error: up: another one runs in {DATA}; use that, stop it, or name another folder with --data\n"
        )
        assert up("list").returncode == 0


def test_a_server_that_is_set_is_used_and_not_started(tmp_path: Path, servers: Embedded) -> None:
    """Only what is missing is started; clients are told of both."""
    given = {name: servers.environment[name] for name in ("REDIS_URL", "MONGO_URI")}
    with Up(tmp_path, MONGO_DB_NAME="up-test", QUEUE="up-test", **given) as up:
        assert [name for name in SERVERS if name in "\n".join(up.said)] == ["seaweedfs"]
        assert up("run", "-q", IMAGE, "echo", "hello").stdout == b"hello\n"


def test_the_first_signal_lets_running_tasks_end(tmp_path: Path) -> None:
    """With the servers still there to take their result, which the next start finds."""
    with Up(tmp_path) as up, a_running_task(up, f"sleep {pace.seconds(2)}; echo done"):
        up.process.send_signal(signal.SIGTERM)
        assert up.end() == 0
        assert not any(is_alive(up.pid(name)) for name in SERVERS)
    with Up(tmp_path) as up:
        assert document(up, "busy")["status"] == "succeeded"
        assert up("logs", "busy").stdout == b"done\n"


def test_a_second_signal_does_not_wait(tmp_path: Path) -> None:
    """Servers and worker are gone at once; the next start goes on with the task, whose program never noticed."""
    with Up(tmp_path) as up, a_running_task(up, f"sleep {pace.seconds(8)}; echo done"):
        up.process.send_signal(signal.SIGINT)
        up.hear("Ctrl-C again")
        up.process.send_signal(signal.SIGINT)
        assert up.end() == 0
        assert not any(is_alive(up.pid(name)) for name in SERVERS)
    with Up(tmp_path) as up, up.client() as client:
        assert list(client.watch("busy"))[-1].status == "succeeded"
        assert client.get("busy").attempt == 1
        assert up("logs", "busy").stdout == b"done\n"


@pytest.mark.parametrize("name", SERVERS)
def test_a_server_that_dies_is_started_again(tmp_path: Path, name: str) -> None:
    """The end of its log is told, and a task that runs meanwhile succeeds. One that dies again and again stops everything."""
    with Up(tmp_path) as up:
        with a_running_task(up, "sleep 1; echo done"), up.client() as client:
            _kill(up, name)
            assert [*client.watch("busy")][-1].status == "succeeded"
            assert client.get("busy").attempt == 1
        assert up("logs", "busy").stdout == b"done\n"
        _kill(up, name)
        _kill(up, name)
        os.kill(up.pid(name), signal.SIGKILL)
        assert up.end() == 1
        assert f"{name} ended by itself, so everything stops. The end of {DATA / name}.log:" in up.said
        assert not any(is_alive(up.pid(other)) for other in SERVERS)


def _kill(up: Up, name: str) -> None:
    """Kill a server, and wait until it runs again."""
    killed = up.pid(name)
    os.kill(killed, signal.SIGKILL)
    up.hear(f"{name} is process ")
    assert f"{name} ended by itself, and is started again. The end of {DATA / name}.log:" in up.said
    assert up.pid(name) != killed


def test_when_it_is_killed_its_children_die_with_it_and_the_next_start_works(tmp_path: Path) -> None:
    """Clients are told meanwhile that it does not run; nothing that was stored is lost."""
    with Up(tmp_path) as up:
        assert up("run", "-q", "--id", "before", IMAGE, "true").returncode == 0
        up.process.kill()
        up.process.wait()
        until(lambda: not any(is_alive(up.pid(name)) for name in SERVERS))
        told = up("list")
        assert told.returncode == 2
        assert b"does not run in" in told.stderr
    with Up(tmp_path) as up:
        assert document(up, "before")["status"] == "succeeded"
        assert up("run", "-q", IMAGE, "echo", "hello").stdout == b"hello\n"


def test_it_runs_on_in_the_background_until_it_is_told_to_stop(tmp_path: Path) -> None:
    """`up --detach` returns when all is ready, and `down` when nothing is left; both may be repeated."""
    try:
        begun = call(tmp_path, "up", "--detach", "--concurrency", "2")
        assert begun.returncode == 0, begun.stderr
        said = begun.stdout.decode().splitlines()
        assert said[-1] == "stop     orchestrator down"
        assert any("2 tasks at once" in line for line in said)
        assert call(tmp_path, "up", "-d").stdout == b"runs in .orchestrator already\n"
        assert call(tmp_path, "run", "-q", IMAGE, "echo", "hello").stdout == b"hello\n"
        modes = {file.name: file.stat().st_mode & 0o077 for file in (tmp_path / DATA).iterdir()}
        assert set(modes.values()) == {0}, modes
        pid = int((tmp_path / DATA / "up.pid").read_text())
    finally:
        ended = call(tmp_path, "down")
    assert (ended.returncode, ended.stdout.splitlines()[-1]) == (0, b"stopped")
    assert not is_alive(pid)
    assert call(tmp_path, "down").stdout == b"no `orchestrator up` runs in .orchestrator\n"


def test_what_does_not_get_ready_in_the_background_is_told(tmp_path: Path) -> None:
    """With the words that it said, and its exit code."""
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        begun = call(tmp_path, "up", "--detach", HEALTH_PORT=str(port))
    assert begun.returncode == 1
    assert f"HEALTH_PORT: no probe can be answered on 127.0.0.1:{port}".encode() in begun.stderr
    assert b"no `orchestrator up` runs" in call(tmp_path, "down").stdout


def test_tasks_are_left_to_the_next_start_at_once(tmp_path: Path) -> None:
    """`down --now` does not wait for a program that runs; the next `up` goes on with it."""
    script = f"echo begun; sleep {pace.seconds(6)}; echo ended"
    assert call(tmp_path, "up", "-d").returncode == 0
    try:
        assert call(tmp_path, "submit", "--id", "busy", IMAGE, "sh", "-c", script).returncode == 0
        with closing(connect(Settings.load(read(tmp_path / DATA / FILE))).store) as store:
            until(lambda: (store.find("busy") or {}).get("status") == "running", pace.seconds(60))
        assert call(tmp_path, "down", "--now").returncode == 0
        assert call(tmp_path, "up", "-d", "--new-passwords").returncode == 0
        followed = call(tmp_path, "logs", "-f", "busy")
        assert (followed.returncode, followed.stdout) == (0, b"begun\nended\n")
    finally:
        call(tmp_path, "down", "--now")
