"""`--version`, alone and with those of the servers."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner

from orchestrator.cli import main
from orchestrator.release import version
from tests.unit.adapters.docker.engine_stub import StubEngine

AWAY = {"MONGO_URI": "mongodb://127.0.0.1:1", "REDIS_URL": "redis://127.0.0.1:1", "MINIO_ENDPOINT": "127.0.0.1:1"}
NOWHERE = {**AWAY, "DOCKER_HOST": "tcp://127.0.0.1:1"}


class _Storage(BaseHTTPRequestHandler):
    server_version, sys_version = "MinIO/2030", ""

    def do_HEAD(self) -> None:
        self.send_response(403)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def storage() -> Iterator[str]:
    """Where an object storage answers that knows nobody."""
    with HTTPServer(("127.0.0.1", 0), _Storage) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


def told(*arguments: str, **variables: str) -> list[str]:
    """The lines of the answer."""
    result = CliRunner().invoke(main, arguments, env={**NOWHERE, **variables}, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout.splitlines()


def test_the_version_alone_is_one_line() -> None:
    """Fit for a script."""
    assert told("--version") == [version()]


def test_each_that_is_away_is_said_and_keeps_nothing_back() -> None:
    """With where it was looked for."""
    own, engine, mongo, redis, storage = told("--version", "-v")
    assert own.split() == ["orchestrator", version()]
    assert engine.startswith("Docker engine   does not answer at tcp://127.0.0.1:1: ")
    assert mongo.startswith("MongoDB         does not answer at 127.0.0.1:1: ")
    assert redis.startswith("Redis           does not answer at 127.0.0.1:1: ")
    assert storage.startswith("object storage  does not answer at 127.0.0.1:1: ")


def test_those_that_answer_tell_their_version(tmp_path: Path, storage: str) -> None:
    """The engine with its API, the storage as far as it says."""
    with StubEngine(tmp_path, {}, "1.51") as engine:
        lines = told("-v", "--version", DOCKER_HOST=engine.url, MINIO_ENDPOINT=storage)
    assert lines[1] == "Docker engine   unknown, API 1.51"
    assert lines[4].rstrip() == "object storage  MinIO/2030"


@pytest.mark.parametrize(("arguments", "words"), [(["-v"], "-v goes with --version"), (["--no-env-file"], "Missing command.")])
def test_what_is_no_command_is_said(arguments: list[str], words: str) -> None:
    """With the exit code of a mistake."""
    result = CliRunner().invoke(main, arguments)
    assert (result.exit_code, words in result.stderr) == (2, True)
