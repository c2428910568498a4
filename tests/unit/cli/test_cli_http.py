"""The command line over HTTP: without a server's address or password, and without their libraries."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.server.tokens import Scope
from orchestrator.testing import MemoryServices, Program
from tests.support.http_server import served, some_tokens
from tests.support.tars import out

TEXT = b"one\ntwo\n"
SERVERS = ("MONGO_URI", "REDIS_URL", "MINIO_ENDPOINT", "MONGO_URI_FILE", "REDIS_URL_FILE")
LIBRARIES = {"pymongo", "redis", "rq", "minio", "docker"}


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Of a process that knows an API, where a worker runs what is handed in."""
    programs = {("speak",): Program(stdout=TEXT, stderr=b"oops", exit_code=3, out=out(a=b"artifact"))}
    services = MemoryServices(programs)
    tokens, texts = some_tokens(tmp_path)
    (tmp_path / "token").write_text(texts[Scope.ADMIN])
    own = {name: value for name, value in os.environ.items() if name not in SERVERS}
    with services.working(), served(services, tokens) as server:
        yield {**own, "ORCHESTRATOR_URL": server.url, "ORCHESTRATOR_TOKEN_FILE": str(tmp_path / "token")}


def call(environment: dict[str, str], folder: Path, *arguments: str) -> "subprocess.CompletedProcess[bytes]":
    """Call it as a process, in a folder without an `up`."""
    argv = [sys.executable, "-m", "orchestrator", *arguments]
    return subprocess.run(argv, env=environment, cwd=folder, capture_output=True, timeout=60, check=False)


def test_a_task_is_run_looked_at_and_removed(environment: dict[str, str], tmp_path: Path) -> None:
    """By every command for it, with the same exit codes."""
    ran = call(environment, tmp_path, "run", "--id", "mine", "--artifact", ".", "busybox", "speak")
    assert (ran.returncode, ran.stdout) == (3, TEXT)
    assert b"oops" in ran.stderr
    assert b"mine" in call(environment, tmp_path, "show", "mine").stdout
    assert call(environment, tmp_path, "logs", "--stdout", "mine").stdout == TEXT
    assert call(environment, tmp_path, "logs", "-f", "mine").stdout == TEXT
    assert call(environment, tmp_path, "list", "-o", "id", "--status", "failed").stdout == b"mine\n"
    assert call(environment, tmp_path, "artifacts", "mine", "a").stdout == b"artifact"
    handed_in = call(environment, tmp_path, "submit", "busybox", "true")
    assert (handed_in.returncode, len(handed_in.stdout.strip())) == (0, 32)
    assert call(environment, tmp_path, "cancel", "mine").returncode in {0, 1}
    assert call(environment, tmp_path, "rm", "mine").stdout == b"mine\n"
    assert call(environment, tmp_path, "show", "mine").stderr == b"Error: there is no task 'mine'\n"


def test_what_is_wrong_is_told_as_ever(environment: dict[str, str], tmp_path: Path) -> None:
    """A bad field by its flag; a command for the servers says that it needs them; a wrong token by its variable."""
    refused = call(environment, tmp_path, "submit", "--memory", "1", "busybox")
    assert refused.returncode == 125
    assert refused.stderr.startswith(b"Error: --memory: ")
    swept = call(environment, tmp_path, "sweep")
    assert (swept.returncode, b"takes the servers themselves" in swept.stderr) == (2, True)
    wrong = call({**environment, "ORCHESTRATOR_TOKEN_FILE": "", "ORCHESTRATOR_TOKEN": "wrong"}, tmp_path, "list")
    assert (wrong.returncode, wrong.stderr.startswith(b"Error: ORCHESTRATOR_TOKEN: ")) == (2, True)


def test_no_library_of_a_server_is_imported(environment: dict[str, str], tmp_path: Path) -> None:
    """So it starts as soon as it can."""
    code = "from orchestrator.cli import main; main(['list', '--json'], standalone_mode=False); import sys; print(*sys.modules)"
    argv = [sys.executable, "-c", code]
    done = subprocess.run(argv, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True)
    assert not LIBRARIES & set(done.stdout.split())
