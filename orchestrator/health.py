"""Tells over HTTP whether the worker lives (/healthz) and whether it takes tasks (/readyz)."""

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from attrs import asdict, frozen

_IDLE = 5.0
"""Seconds after which a connection that asks nothing is closed: each has a thread and a file of the worker's."""


@frozen
class Health:
    """``alive``: its loop turns, its leases are renewed, it sweeps. ``draining``: it takes no more. ``tasks``: its tasks."""

    alive: bool
    draining: bool
    tasks: int


def serve(port: int, health: Callable[[], Health]) -> ThreadingHTTPServer:
    """Answer on all addresses, in a daemon thread, with 200 or 503 and the facts as JSON. Port 0 takes a free one."""

    class Handler(BaseHTTPRequestHandler):
        timeout = _IDLE

        def do_GET(self) -> None:
            now = health()
            good = {"/healthz": now.alive, "/readyz": now.alive and not now.draining}.get(self.path)
            body = json.dumps(asdict(now)).encode()
            self.send_response(404 if good is None else 200 if good else 503)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Probes come every few seconds and are nothing to tell."""

    server = ThreadingHTTPServer(("", port), Handler)  # the probe comes from outside the container
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="health", daemon=True).start()
    return server
