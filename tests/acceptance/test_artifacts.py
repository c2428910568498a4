"""Files that a program leaves in /out, through a real worker process: in object storage, listed, fetched; nothing left over."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from orchestrator.adapters.s3.client import minio_client
from orchestrator.embedded import Embedded
from tests.support import pace
from tests.support.containers import library
from tests.support.installation import Installation, one_worker
from tests.support.servers import corners
from tests.support.worker_process import until

LEAVE = "mkdir /out/d; echo one >/out/a; head -c 300000 /dev/urandom >/out/d/b; ln -s /etc/passwd /out/l; sha256sum /out/d/b"


@pytest.fixture(scope="module")
def installation(servers: Embedded, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """One worker for all tests of this file."""
    with one_worker(servers, tmp_path_factory.mktemp("artifacts")) as installation:
        yield installation


def content(installation: Installation, document: Mapping[str, Any], path: str) -> bytes:
    """An artifact's bytes as another service reads them, its sums compared."""
    (entry,) = [each for each in document["artifacts_stored"] if each["path"] == path]
    response = minio_client(installation.settings).get_object(document["logs"]["bucket"], entry["key"])
    try:
        data, noted = response.read(), response.headers["x-amz-meta-sha256"]
    finally:
        response.close()
        response.release_conn()
    assert hashlib.sha256(data).hexdigest() == entry["sha256"] == noted
    assert len(data) == entry["bytes"]
    return data


def test_files_are_stored_whole_and_nothing_is_left(installation: Installation) -> None:
    """With the checksum that the program itself computed. A link is refused by name.

    Container, pause container and volume are removed.
    """
    task_id = installation.submit(LEAVE, artifacts=["a", "d", "l", "none"])
    document = installation.ended(task_id)
    assert document["status"] == "succeeded"
    assert {each["path"] for each in document["artifacts_stored"]} == {"a", "d/b"}
    assert content(installation, document, "a") == b"one\n"
    seen = installation.object(document, "stdout")[0].split()[0].decode()
    assert hashlib.sha256(content(installation, document, "d/b")).hexdigest() == seen
    assert {each["path"]: each["why"] for each in document["artifacts_refused"]} == {
        "l": "it is a symbolic link",
        "none": "there is nothing of this name",
    }
    until(lambda: not installation.containers_of(task_id))
    with library() as client:
        until(lambda: not client.volumes.list(filters={"label": f"orchestrator.task={task_id}"}))


@pytest.mark.parametrize(
    ("script", "status"), [("echo x >/out/a; exit 3", "failed"), (f"echo x >/out/a; sleep {pace.seconds(60)}", "timed_out")]
)
def test_files_are_kept_of_programs_that_did_not_succeed(installation: Installation, script: str, status: str) -> None:
    """They tell why."""
    document = installation.ended(installation.submit(script, artifacts=["."], limits={"timeout": pace.seconds(2)}))
    assert document["status"] == status
    assert content(installation, document, "a") == b"x\n"


def test_a_worker_that_takes_over_stores_the_files(servers: Embedded, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The first worker is killed while the program runs. The files from before and after are stored."""
    folder = tmp_path_factory.mktemp("killed")
    corner = next(corners(servers.environment))
    own = {"SPOOL_DIR": str(folder / "spool"), "PULL_POLICY": "never"}
    hasty = {"LEASE_TTL": str(pace.seconds(2)), "SWEEP_INTERVAL": "0.5"}
    installation = Installation({**corner.environment, **own, **hasty}, folder)
    first = installation.start()
    task_id = installation.submit(f"echo early >/out/a; sleep {pace.seconds(4)}; echo late >/out/b", artifacts=["."])
    until(lambda: installation.document(task_id)["status"] == "running")
    first.kill()
    first.wait()
    installation.workers.clear()
    installation.start()
    document = installation.ended(task_id)
    assert (document["status"], document["attempt"]) == ("succeeded", 1)
    assert (content(installation, document, "a"), content(installation, document, "b")) == (b"early\n", b"late\n")
    until(lambda: not installation.containers_of(task_id))
    installation.stop()
    corner.wipe()


def orchestrator(installation: Installation, *arguments: str) -> "subprocess.CompletedProcess[bytes]":
    """Call the command line."""
    argv = (sys.executable, "-m", "orchestrator", *arguments)
    return subprocess.run(argv, env={**os.environ, **installation.environment}, capture_output=True, check=False)


def test_the_command_line_shows_and_fetches_them(installation: Installation, tmp_path: Path) -> None:
    """List, print one, write all below a folder."""
    task_id = installation.submit("mkdir /out/d; echo one >/out/a; printf two >/out/d/b", artifacts=["."])
    installation.ended(task_id)
    listed = orchestrator(installation, "artifacts", task_id)
    assert [line.split()[0] for line in listed.stdout.decode().splitlines()] == ["PATH", "a", "d/b"]
    assert orchestrator(installation, "artifacts", task_id, "a").stdout == b"one\n"
    assert orchestrator(installation, "artifacts", task_id, "--output", str(tmp_path)).returncode == 0
    assert ((tmp_path / "a").read_bytes(), (tmp_path / "d" / "b").read_bytes()) == (b"one\n", b"two")
    assert b"artifact" in orchestrator(installation, "show", task_id).stdout
    missing = orchestrator(installation, "artifacts", task_id, "none")
    assert (missing.returncode, missing.stderr) == (1, f"Error: task {task_id!r} has no stored artifact 'none'\n".encode())
