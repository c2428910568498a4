"""Tells over HTTP whether the worker lives (/healthz), whether it takes tasks (/readyz), and what it has counted (/metrics)."""

import json
import socket
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from attrs import asdict, frozen

from orchestrator.metrics import declarations as metrics
from orchestrator.metrics.measurements import Measurements, Readings

_DEADLINE = 5.0
"""Seconds for a request and its answer, because each connection takes a thread and a file of the worker."""
_CONNECTIONS = 16
"""Connections at once; further ones are closed."""
_NO_DESCRIPTOR = 0.2
"""Seconds until the next try after a connection could not be accepted."""


@frozen
class Health:
    """The answer to a probe.

    ``alive``: its loop turns, its leases are renewed, it sweeps. ``draining``: it takes no new task. ``tasks``: the number that
    it holds. ``engine``: the Docker engine answers. ``database``: it is the deployment's own, as far as this host knows.
    """

    alive: bool
    draining: bool
    tasks: int
    engine: bool = True
    database: bool = True

    @property
    def ready(self) -> bool:
        """Whether it can take a task."""
        return self.alive and self.engine and self.database and not self.draining


def watch_worker(measured: Measurements, slots: int, health: Callable[[], Health]) -> None:
    """Have the metrics tell the same as the probes."""
    measured.watch(metrics.SLOTS, lambda: {(): slots})
    measured.watch(metrics.HELD, lambda: {(): health().tasks})
    measured.watch(metrics.HEALTH, lambda: _checks(health()))


def _checks(now: Health) -> Readings:
    facts = {"alive": now.alive, "ready": now.ready, "draining": now.draining, "engine": now.engine, "database": now.database}
    return {(check,): float(value) for check, value in facts.items()}


@frozen
class Page:
    """The answer to a request."""

    status: int
    content_type: str
    body: bytes


def serve(
    port: int,
    health: Callable[[], Health],
    host: str = "127.0.0.1",
    exposition: Callable[[], Page] | None = None,
) -> ThreadingHTTPServer:
    """Answer probes in daemon threads, with 200 or 503 and the facts as JSON. Port 0 takes a free one."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            page = exposition() if exposition and self.path == "/metrics" else _probed(self.path, health())
            self.send_response(page.status)
            self.send_header("Content-Type", page.content_type)
            self.send_header("Content-Length", str(len(page.body)))
            self.end_headers()
            self.wfile.write(page.body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Logs nothing, because probes come every few seconds."""

    server = _Server((host, port), Handler)
    threading.Thread(target=server.serve_forever, name="health", daemon=True).start()
    return server


def _probed(path: str, now: Health) -> Page:
    good = {"/healthz": now.alive, "/readyz": now.ready}.get(path)
    return Page(404 if good is None else 200 if good else 503, "application/json", json.dumps(asdict(now)).encode())


class _Server(ThreadingHTTPServer):
    """Has a limited number of connections, each for a limited time."""

    daemon_threads = True
    request_queue_size = _CONNECTIONS

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self._free = threading.BoundedSemaphore(_CONNECTIONS)
        super().__init__(address, handler)

    def get_request(self) -> tuple[Any, Any]:
        """Accept a connection.

        If there is no descriptor for it, the next try waits, because the connection stays in the backlog.
        """
        try:
            return super().get_request()
        except OSError:
            time.sleep(_NO_DESCRIPTOR)
            raise

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a separate thread, if one can be started."""
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except RuntimeError:  # no thread can be started
            self._free.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer before the deadline. After it the connection is cut, even if it is busy."""
        cut = threading.Timer(_DEADLINE, _cut, (request,))
        cut.daemon = True
        try:
            cut.start()
            super().process_request_thread(request, client_address)
        finally:
            cut.cancel()
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Logs nothing if a probe went away."""


def _cut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # it is closed already
