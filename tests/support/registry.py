"""A registry with one tiny image, on loopback, where engines ask without TLS; some of its repositories are in trouble."""

import gzip
import hashlib
import io
import json
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG = "application/vnd.docker.container.image.v1+json"
_WHOLE = {"app", "stalls"}
LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"


def _digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def _blob(kind: str, data: bytes) -> dict[str, object]:
    return {"mediaType": kind, "size": len(data), "digest": _digest(data)}


class Registry:
    """Repositories: ``app`` is whole, ``secret`` wants a password, ``broken`` answers 503, ``stalls`` sends half a layer."""

    def __init__(self, marker: str) -> None:
        layer = io.BytesIO()
        with tarfile.open(fileobj=layer, mode="w") as tar:
            entry = tarfile.TarInfo(marker)
            entry.size = 3 << 16
            tar.addfile(entry, io.BytesIO(bytes(entry.size)))
        packed = gzip.compress(layer.getvalue(), 0, mtime=0)
        rootfs = {"type": "layers", "diff_ids": [_digest(layer.getvalue())]}
        config = json.dumps({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": rootfs}).encode()
        parts = {"schemaVersion": 2, "mediaType": MANIFEST, "config": _blob(CONFIG, config), "layers": [_blob(LAYER, packed)]}
        self.manifest = json.dumps(parts).encode()
        self.blobs = {_digest(config): config, _digest(packed): packed}
        self.over = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.registry = self

    @property
    def host(self) -> str:
        """host:port, the first part of an image's name."""
        return f"127.0.0.1:{self._server.server_address[1]}"

    @property
    def digest(self) -> str:
        """What the image is known by whatever its tag."""
        return _digest(self.manifest)

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    registry: Registry

    def handle_error(self, *_: object) -> None:
        """An engine that hangs up is part of the play."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """/v2/, /v2/<name>/manifests/<reference> or /v2/<name>/blobs/<digest>."""
        name, what, reference = [*self.path.removeprefix("/v2/").split("/"), "", ""][:3]
        registry = self.server.registry
        if name == "broken":
            self._say(503, b"")
        elif name == "secret":
            self._say(401, b'{"errors": [{"code": "UNAUTHORIZED", "message": "authentication required"}]}')
        elif not name:
            self._say(200, b"{}")
        elif name in _WHOLE and what == "manifests" and reference in {"1", registry.digest}:
            self._say(200, registry.manifest, MANIFEST)
        elif what == "blobs" and reference in registry.blobs:
            self._say(200, registry.blobs[reference], "application/octet-stream", stalls=name == "stalls")
        else:
            self._say(404, b'{"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}')

    do_HEAD = do_GET  # noqa: N815

    def _say(self, status: int, body: bytes, kind: str = "application/json", *, stalls: bool = False) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Docker-Content-Digest", _digest(body))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body[: len(body) // 2] if stalls and kind.endswith("stream") else body)
            if stalls:
                self.server.registry.over.wait()

    def log_message(self, *_: object) -> None:
        """Quiet."""
