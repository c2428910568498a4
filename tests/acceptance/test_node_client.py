"""A client in TypeScript, whose types are generated from the server's OpenAPI document, works with that server."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from orchestrator.cause import Cause
from orchestrator.server.tokens import Scope
from orchestrator.testing import MemoryServices, Program
from scripts import page
from tests.support import pace
from tests.support.http_server import Served, served, some_tokens

SOURCES = Path(__file__).parents[1] / "node_client"
LOCK = (SOURCES / "package.json", SOURCES / "package-lock.json")


def npm(folder: Path, *arguments: str) -> str:
    """What npm prints, in a folder. Raises CalledProcessError."""
    return page.run(page.npm_command(), "--prefix", str(folder), *arguments)


@pytest.fixture(scope="module")
def packages() -> Path:
    """What the lock names, installed once; without a registry the test is skipped, but not in CI."""
    installed = SOURCES / "node_modules"
    locked = page.digest(LOCK)
    if not (installed / locked).is_file():
        try:
            npm(SOURCES, "ci", "--ignore-scripts", "--no-audit", "--no-fund")
        except subprocess.SubprocessError as error:
            if os.environ.get("CI"):
                raise
            pytest.skip(f"npm cannot install the packages of {SOURCES}: {error}")
        (installed / locked).touch()
    return installed


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[Served, str]]:
    """It answers those with a token, and nothing runs what is handed in, unless the test does; a token that may submit."""
    tokens, known = some_tokens(tmp_path)
    with served(MemoryServices({("speak",): Program(stdout=b"hello\n")}), tokens) as server:
        yield server, known[Scope.SUBMIT]


@pytest.fixture
def client(packages: Path, server: tuple[Served, str], tmp_path: Path) -> Path:
    """The client as a program, built with the types of this server."""
    folder = tmp_path / "client"
    shutil.copytree(SOURCES, folder, ignore=shutil.ignore_patterns("node_modules"))
    (folder / "node_modules").symlink_to(packages)
    (folder / "openapi.json").write_bytes(httpx.get(f"{server[0].url}/openapi.json").raise_for_status().content)
    npm(folder, "run", "generate")
    npm(folder, "run", "build")
    return folder / "client.js"


def run(client: Path, server: tuple[Served, str], act: str) -> Any:
    """What the client tells."""
    url, token = server[0].url, server[1]
    done = subprocess.run(
        [Path(page.node_folder() or "") / "node", client, act],
        env={**os.environ, "ORCHESTRATOR_URL": url, "ORCHESTRATOR_TOKEN": token},
        capture_output=True,
        check=False,
        timeout=pace.seconds(60),
    )
    assert (done.returncode, done.stderr) == (0, b"")
    return json.loads(done.stdout)


def test_it_submits_follows_and_cancels(client: Path, server: tuple[Served, str]) -> None:
    """It is compiled strictly, so every path, field and answer that it uses is in the document."""
    services = server[0].services
    with services.working():
        told = run(client, server, "speak")
    assert told == {"statuses": ["queued", "running", "collecting", "uploading", "succeeded"], "output": "hello\n"}
    ended = run(client, server, "cancel")
    assert (ended["status"], ended["cause"]) == ("failed", "cancelled")
    assert services.client.get(ended["id"]).cause == Cause.CANCELLED
    assert run(client, server, "refuse") == {"status": 422, "fields": ["image"]}


def test_a_call_that_the_document_does_not_have_is_not_compiled(client: Path) -> None:
    """So the types are those of this server, and are looked at."""
    source = client.with_suffix(".ts")
    source.write_text(source.read_text().replace("/v1/tasks/{id}/cancel", "/v1/tasks/{id}/stop"))
    with pytest.raises(subprocess.CalledProcessError) as raised:
        npm(client.parent, "run", "build")
    assert '"/v1/tasks/{id}/stop"' in raised.value.output
