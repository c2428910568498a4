"""The HTTP API of an `up`: on loopback alone, with a token that is made for this run."""

import errno
import socket
import sys
import urllib.error
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from attrs import frozen

from orchestrator.cli.loopback import opened
from orchestrator.embedded import home
from orchestrator.embedded.process import Server
from orchestrator.errors import SettingsError
from orchestrator.server.tokens import Scope, new_token
from orchestrator.settings.settings import Settings

NAME = "serve"
_HOST = "127.0.0.1"
_TOKENS = "api-tokens"
_TRIED = 100
_SECONDS = 2.0
_TAKEN = {errno.EADDRINUSE, errno.EACCES}


@frozen
class Api:
    """How to run it, where it is, and the token that opens it."""

    server: Server
    url: str
    token: str
    listening: socket.socket
    """Open from the first moment, so that nobody else can take its port; the server inherits it."""

    @property
    def variables(self) -> Mapping[str, str]:
        """What its clients have to know."""
        return {"ORCHESTRATOR_URL": self.url, "ORCHESTRATOR_TOKEN": self.token}

    @property
    def page(self) -> str:
        """The address for a browser."""
        return f"{self.url}/?token={self.token}"


def api(data: Path, variables: Mapping[str, str]) -> Api | None:
    """The API of the `up` in this folder; None when its libraries are not installed. Raises SettingsError."""
    if find_spec("uvicorn") is None or find_spec("sse_starlette") is None:
        return None
    token, line = new_token("up", Scope.ADMIN)
    tokens = data.absolute() / _TOKENS
    with home.written(tokens) as file:
        file.write(f"{line}\n".encode())
    listening = _listening(variables)
    port = listening.getsockname()[1]
    url = f"http://{_HOST}:{port}"
    own = {"API_HOST": _HOST, "API_PORT": str(port), "API_TOKENS": str(tokens), "API_TLS_CERT": "", "API_TLS_KEY": ""}
    fd = listening.fileno()
    argv = (sys.executable, "-m", "orchestrator", "--no-env-file", "serve", "--fd", str(fd))
    server = Server(NAME, argv, lambda: _answers(url), env={**variables, **own}, fds=(fd,))
    return Api(server, url, token, listening)


def _listening(variables: Mapping[str, str]) -> socket.socket:
    """At the port API_PORT; when nobody has set it, at the next free one from its default on. Raises SettingsError."""
    first = Settings.load(variables).api_port
    tried = range(first, first + 1 if variables.get("API_PORT") else first + _TRIED)
    for port in tried:
        try:
            return socket.create_server((_HOST, port), backlog=512)
        except OSError as error:
            if error.errno not in _TAKEN:
                raise
    taken = f"port {first}" if len(tried) == 1 else f"every port from {first} to {tried[-1]}"
    raise SettingsError(f"API_PORT: {taken} of {_HOST} is in use; set another one")


def _answers(url: str) -> bool:
    try:
        with opened(f"{url}/healthz", _SECONDS):
            return True
    except (urllib.error.URLError, OSError):
        return False
