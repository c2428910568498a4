"""The HTTP API of an `up`: where it is, who may ask it, and what becomes of it."""

import os
import signal
import socket
from contextlib import closing
from pathlib import Path

import httpx

from orchestrator.settings.environment import DATA
from tests.support.up import IMAGE, Up, call


def test_it_answers_those_who_have_the_token(tmp_path: Path) -> None:
    """On a free port when its own is taken; it goes with the `up`, which stops when it ends by itself."""
    with closing(socket.create_server(("127.0.0.1", 8080))) if _is_free(8080) else closing(socket.socket()), Up(tmp_path) as up:
        url, token = (up.variables[f"ORCHESTRATOR_{name}"] for name in ("URL", "TOKEN"))
        assert not url.endswith(":8080")
        assert (tmp_path / DATA / "api-tokens").stat().st_mode & 0o777 == 0o600
        assert httpx.get(f"{url}/v1/tasks").status_code == 401
        with httpx.Client(base_url=url, follow_redirects=True, timeout=60) as browser:
            assert browser.get("/", params={"token": token}).url == httpx.URL(f"{url}/")
            task = {"image": IMAGE, "command": ["echo", "hello"]}
            assert browser.post("/v1/tasks", json=task).status_code == 403
            ended = browser.post("/v1/tasks?wait=60s", json=task, headers={"Origin": url}).json()
            assert browser.get(f"/v1/tasks/{ended['_id']}/logs/stdout").content == b"hello\n"
        assert token not in (tmp_path / DATA / "serve.log").read_text()
        os.kill(_server(up), signal.SIGKILL)
        assert up.end() == 1
        assert "serve ended by itself, so everything stops." in "\n".join(up.said)


def _is_free(port: int) -> bool:
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return probe.connect_ex(("127.0.0.1", port)) != 0


def _server(up: Up) -> int:
    """Its process: the one of this folder whose command is `serve`."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
                folder = (entry / "cwd").resolve()
            except OSError:
                continue
            if b"serve" in words and folder == (up.folder / DATA / "serve").resolve():
                return int(entry.name)
    raise AssertionError("it does not run")


def test_a_port_that_was_chosen_and_is_taken_is_told(tmp_path: Path) -> None:
    """In a sentence, before anything of it runs."""
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        begun = call(tmp_path, "up", API_PORT=str(port))
    assert begun.returncode == 2
    assert begun.stderr.decode() == f"Error: API_PORT: port {port} of 127.0.0.1 is in use; set another one\n"
