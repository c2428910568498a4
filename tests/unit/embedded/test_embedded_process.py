"""One embedded server as a process: started, waited for, stopped, and told no more than it needs."""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orchestrator.embedded import home
from orchestrator.embedded.process import Process, Server
from orchestrator.errors import InfrastructureError
from tests.support import pace
from tests.support.worker_process import until


@pytest.fixture
def lock(tmp_path: Path) -> Iterator[int]:
    """A descriptor for processes to inherit."""
    with (tmp_path / "lock").open("w") as file:
        yield file.fileno()


def python(code: str, *, ready: Callable[[], bool] = lambda: True, **fields: object) -> Server:
    """A server that is a line of Python."""
    return Server("python", (sys.executable, "-c", code), ready, **fields)


@contextlib.contextmanager
def started(server: Server, folder: Path, lock: int) -> Iterator[Process]:
    """The process of a server for the length of a block."""
    process = Process(server, folder / "python", lock)
    process.start()
    try:
        yield process
    finally:
        process.stop(grace=0)


def test_a_server_that_ends_at_once_is_told_with_the_end_of_its_log(tmp_path: Path, lock: int) -> None:
    """The one who starts it sees why."""
    server = python("raise SystemExit('no such luck')", ready=lambda: False)
    with started(server, tmp_path, lock) as process, pytest.raises(InfrastructureError, match="no such luck"):
        process.await_ready(pace.seconds(20))


def test_a_server_that_ends_is_not_waited_for(tmp_path: Path, lock: int) -> None:
    """How it ended is told, also when it has logged nothing."""
    for code, how in (("raise SystemExit(3)", "ended with exit code 3"), ("import os; os.abort()", "was killed by SIGABRT")):
        with started(python(code, ready=lambda: False), tmp_path, lock) as process:
            with pytest.raises(InfrastructureError) as told:
                process.await_ready(float("inf"))
            assert str(told.value) == f"python: {how} before it could be used; its log {tmp_path / 'python.log'} is empty"


def test_a_server_that_is_never_ready_is_given_up(tmp_path: Path, lock: int) -> None:
    """After the caller's patience, with a reason, also when it has logged nothing."""
    server = python("import signal; signal.pause()", ready=lambda: False)
    with started(server, tmp_path, lock) as process, pytest.raises(InfrastructureError, match="did not start") as told:
        process.await_ready(0.1)
    assert "it runs, but could not be used within 0.1 s; its log" in str(told.value)
    assert str(told.value).endswith("python.log is empty")


def test_a_server_that_ignores_term_is_killed(tmp_path: Path, lock: int) -> None:
    """Stopping takes no longer than the grace."""
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); signal.pause()"
    log = tmp_path / "python.log"
    with started(python(deaf), tmp_path, lock) as process:
        until(lambda: "deaf" in log.read_text())
        pid = process.pid
        begun = time.monotonic()
        process.stop(grace=0.1)
        assert time.monotonic() - begun < 5
        assert process.pid is None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_server_sees_little_of_its_parent(tmp_path: Path, lock: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own environment, its own session (a Ctrl-C for the parent is not for it), and its secret on stdin."""
    monkeypatch.setenv("AWS_PROFILE", "parent")
    tell = "import json, os, sys; print(json.dumps([dict(os.environ), os.getsid(0), os.getpid(), sys.stdin.read()]))"
    log = tmp_path / "python.log"
    with started(python(tell, env={"OWN": "1"}, stdin="secret"), tmp_path, lock):
        until(lambda: log.read_text().endswith("\n"))
    environment, session, pid, stdin = json.loads(log.read_text())
    assert environment.keys() - {"LC_CTYPE"} == {"PATH", "HOME", "OWN"}
    assert session == pid
    assert stdin == "secret"


def test_what_a_server_is_given_in_files_is_for_its_user_alone(tmp_path: Path, lock: int) -> None:
    """Keys are among them; a folder and a file that an earlier start left open are closed."""
    folder = tmp_path / "python"
    folder.mkdir()
    folder.chmod(0o755)
    (folder / "old.pem").write_text("a longer key of before")
    (folder / "old.pem").chmod(0o644)
    with started(python("", files={"old.pem": "key", "new.pem": "key"}), tmp_path, lock):
        assert folder.stat().st_mode & 0o777 == 0o700
        for name in ("old.pem", "new.pem"):
            assert (folder / name).stat().st_mode & 0o777 == 0o600
            assert (folder / name).read_text() == "key"


def test_the_leash_does_not_run_for_a_parent_that_is_gone() -> None:
    """The parent may die before the kernel was told to watch it."""
    leash = Path(home.__file__).with_name("leash.py")
    nobody = str(os.getpid() + 1)
    ran = subprocess.run([sys.executable, "-I", leash, nobody, "echo", "ran"], capture_output=True, check=True)
    assert ran.stdout == b""
