"""A stand-in for dockerd that answers only what it is asked for its version; run with the path of the socket to answer at.

As the real one on a machine without working iptables, it ends unless it is told to go on without them.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import UnixStreamServer


class Handler(BaseHTTPRequestHandler):
    """Answers every GET with the version."""

    def do_GET(self) -> None:
        """The part of the answer that docker-py reads."""
        body = json.dumps({"Version": "0.0-stand-in", "ApiVersion": "1.41"}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Quiet."""

    def address_string(self) -> str:
        """A Unix socket has no address."""
        return ""


def main(path: str, *flags: str) -> None:
    """Serve until the process is ended."""
    sys.stdout.write("level=info noise\n")
    if "--iptables=false" not in flags:
        sys.exit("failed to start daemon: iptables failed: no such table")
    Path(path).unlink(missing_ok=True)
    UnixStreamServer(path, Handler).serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
