"""What the client makes of answers that are not what it asked for."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from orchestrator.errors import InfrastructureError, InvalidTask, OrchestratorError, SettingsError, UnknownTask
from orchestrator.http_client import wire
from orchestrator.http_client.blocking import HttpClient
from orchestrator.http_client.wire import Api


@contextmanager
def _answering(status: int, body: bytes, asked: list[str]) -> Iterator[str]:
    """The address of a server that answers all requests so."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, InvalidTask),
        (404, UnknownTask),
        (405, SettingsError),
        (408, InfrastructureError),
        (413, InvalidTask),
        (415, InvalidTask),
        (422, InvalidTask),
        (429, InfrastructureError),
        (431, SettingsError),
        (500, InfrastructureError),
        (503, InfrastructureError),
    ],
)
def test_only_what_may_change_is_asked_for_again(status: int, kind: type[OrchestratorError]) -> None:
    """The sentence of the answer is told in each case."""
    error = wire.error_of(status, json.dumps({"detail": "a sentence"}).encode())
    assert (type(error), "a sentence" in str(error)) == (kind, True)


def test_a_refusal_ends_the_call_at_once() -> None:
    """However long it may be tried again."""
    asked: list[str] = []
    with (
        _answering(413, b'{"detail": "the body is too large"}', asked) as url,
        HttpClient(Api(url, ""), 3600.0) as client,
        pytest.raises(InvalidTask, match="the body is too large"),
    ):
        client.get("t1")
    assert len(asked) == 1


def test_a_download_from_an_offset_needs_that_part() -> None:
    """Else bytes would come twice."""
    asked: list[str] = []
    with _answering(200, b"abcdef", asked) as url, HttpClient(Api(url, ""), 3600.0) as client:
        assert b"".join(client._bytes("/file", 0)) == b"abcdef"
        with pytest.raises(SettingsError, match="ignores Range"):
            next(client._bytes("/file", 3))
    assert len(asked) == 2
