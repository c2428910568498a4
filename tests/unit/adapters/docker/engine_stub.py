"""An engine that answers over a Unix socket what a test scripts, for what a real one does only when it is in trouble."""

import json
import struct
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingUnixStreamServer
from typing import Self
from urllib.parse import urlsplit

from orchestrator.adapters.docker.demux import Messages
from orchestrator.adapters.docker.engine import DockerEngine
from orchestrator.ports import Chunk, ContainerState, Phase, Stream
from orchestrator.task.labels import DEPLOYMENT

NOW = "2030-05-17T12:00:00.123456789Z"
NEVER = "0001-01-01T00:00:00Z"
Answer = Callable[["Handler"], None]
Script = Mapping[str, "Answer | list[Answer]"]
Stage = Callable[[Script], tuple["StubEngine", DockerEngine]]


class Handler(BaseHTTPRequestHandler):
    """One connection to the stub."""

    server: "_Server"
    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = "/" + urlsplit(self.path).path.removeprefix(f"/v{self.server.stub.version}").strip("/")
        self.server.stub.answer(f"{self.command} {path}")(self)

    do_GET = do_POST = do_PUT = do_DELETE = _answer  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Quiet."""

    def address_string(self) -> str:
        """A Unix socket has no address."""
        return ""


class _Server(ThreadingUnixStreamServer):
    stub: "StubEngine"
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_: object) -> None:
        """A client that hangs up is part of the play."""


class StubEngine:
    """``script`` maps "METHOD /path" to the answers for the calls one after the other; the last one stays.

    ``calls`` is what was asked, without the questions for the ``version`` of its API.
    """

    def __init__(self, folder: Path, script: Script, version: str = "1.41") -> None:
        self.version = version
        self.url = f"unix://{folder}/engine.sock"
        self.calls: list[str] = []
        self.over = threading.Event()
        self._script = {call: list(answers) if isinstance(answers, list) else [answers] for call, answers in script.items()}
        self._server = _Server(f"{folder}/engine.sock", Handler)
        self._server.stub = self

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.stop_listening()

    def stop_listening(self) -> None:
        """Take no new connection, but go on to serve those that are there."""
        self._server.shutdown()
        self._server.server_close()

    def answer(self, call: str) -> Answer:
        """The next answer for a call."""
        if call == "GET /version":
            return says(200, {"ApiVersion": self.version})
        self.calls.append(call)
        answers = self._script.get(call, [says(404, {"message": f"nothing at {call}"})])
        return answers.pop(0) if len(answers) > 1 else answers[0]


def says(status: int, body: object = None, **headers: str) -> Answer:
    """A whole answer in JSON."""

    def answer(handler: Handler) -> None:
        text = b"" if body is None else json.dumps(body).encode()
        handler.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(text)), **headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(text)

    return answer


def refuses(status: int, message: str) -> Answer:
    """An error as the engine words it."""
    return says(status, {"message": message})


def streams(*parts: bytes, whole: bool = True) -> Answer:
    """A body in chunks; not ``whole``, it breaks off instead of ending."""

    def answer(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for part in [*parts, b""] if whole else parts:
            handler.wfile.write(b"%x\r\n%b\r\n" % (len(part), part))
        handler.close_connection |= not whole

    return answer


def raw(*parts: bytes) -> Answer:
    """Bytes as they are, then the end of the connection."""

    def answer(handler: Handler) -> None:
        handler.wfile.write(b"".join(parts))
        handler.close_connection = True

    return answer


def hangs_up(handler: Handler) -> None:
    """The call had its effect, but the reply is lost."""
    handler.close_connection = True


def falls_silent(handler: Handler) -> None:
    """No answer until the test is over."""
    handler.server.stub.over.wait()
    handler.close_connection = True


def container(status: str, **state: object) -> Answer:
    """The answer to inspect."""
    times = {"StartedAt": NEVER if status == "created" else NOW, "FinishedAt": NOW if status == "exited" else NEVER}
    fields = {
        "Status": status,
        "Running": status == "running",
        "ExitCode": 0,
        "OOMKilled": False,
        "Error": "",
        **times,
        **state,
    }
    return says(200, {"Id": "c1", "Name": "/c1", "State": fields, "Config": {"Labels": {"task": "t1", DEPLOYMENT: "ours"}}})


def seen(phase: Phase, finished_at: datetime | None = None, after: float = 0.0) -> ContainerState:
    """What is known of the container, so many seconds after its end."""
    now = (finished_at or datetime.fromisoformat(NOW)) + timedelta(seconds=after)
    return ContainerState("c1", phase, now, finished_at=finished_at)


def whole(_: object) -> frozenset[Stream]:
    """No stream has lost its end."""
    return frozenset()


def together(messages: Iterable[Chunk]) -> Messages:
    """Messages of a log, each as the engine words it: a stream, and a time stamp, a space and the text."""
    parts = [(stream, *message.partition(b" ")) for stream, message in messages]
    streams, stamps, _, texts = (list(each) for each in zip(*parts, strict=True)) if parts else ([], [], [], [])
    return Messages(streams, stamps, texts)


def apart(log: Iterable[Messages]) -> Iterator[Chunk]:
    """The messages one by one: the inverse of ``together``."""
    for messages in log:
        for stream, stamp, text in zip(messages.streams, messages.stamps, messages.texts, strict=True):
            yield stream, stamp + b" " + text


def frame(kind: int, payload: bytes) -> bytes:
    """One frame of a multiplexed stream."""
    return struct.pack(">BxxxL", kind, len(payload)) + payload
