"""The connection to the engine: opened at its first use, shared by all threads.

It knows HTTP and sockets, but no containers.
"""

import json
import socket
import struct
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from docker import APIClient
from docker.errors import DockerException, create_api_error_from_http_exception
from docker.transport.unixconn import UnixHTTPAdapter, UnixHTTPConnection, UnixHTTPConnectionPool
from docker.utils import parse_host
from docker.utils.config import find_config_file
from requests import HTTPError, Response
from requests.adapters import HTTPAdapter

from orchestrator.adapters.docker.engine_facts import EngineFacts, facts_of, numbers
from orchestrator.adapters.docker.errors import SERVICE, answer, translated
from orchestrator.adapters.docker.http_chunks import unchunked
from orchestrator.errors import EngineTooOld, InfrastructureError, SettingsError
from orchestrator.task.validation import shown
from orchestrator.urls import is_host

Reading = Mapping[str, Any]
"""An answer of the engine, as decoded JSON."""
_THREADS = 128
_MOMENT = 5.0
_HEAD = 16384
_BLOCK = 1 << 18
_CHUNKED = b"\r\ntransfer-encoding: chunked\r\n"
OLDEST_API = "1.41"
"""That of Docker 20.10."""
_ANY_VERSION = OLDEST_API
_PEER = struct.Struct("3i")
"""The peer of a socket: process, user, group."""


class DockerClient:
    """``timeout``, in seconds, is the longest silence of the engine during one call. ``heard`` gets every response."""

    def __init__(self, base_url: str, timeout: float, heard: Callable[[Response], None] | None = None) -> None:
        self.timeout = timeout
        self._heard = heard
        self._url = "unix:///" + base_url.removeprefix("unix://").lstrip("/") if base_url.startswith("unix:") else base_url
        self._api: APIClient | None = None
        self._facts: EngineFacts | None = None

    @property
    def api(self) -> APIClient:
        """The library's client. Raises the library's errors; use it under ``translated``."""
        if self._api is None:
            self._api = self._open()  # two threads may open two; both work
        return self._api

    def ask(self) -> EngineFacts:
        """What the engine is and can do now. Raises the same as ``translated``."""
        with translated():
            self._facts = facts_of(self.api.info(), self.api.api_version)
        return self._facts

    @property
    def facts(self) -> EngineFacts:
        """The same, asked for once: for what stays while a process runs. Raises the same as ``translated``."""
        return self._facts or self.ask()

    @property
    def local(self) -> bool:
        """Whether the engine is on this host, as far as the address tells."""
        return self._url.startswith("unix:")

    def peer(self) -> int | None:
        """The process that listens at the socket of a local engine; None when it is in another namespace of processes.

        Raises InfrastructureError.
        """
        with translated(), closing(_dial_socket(urlsplit(self._url).path, self.timeout)) as connection:
            return _PEER.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))[0] or None

    def close(self) -> None:
        """Close idle connections; a later call opens new ones."""
        api, self._api = self._api, None
        if api:
            api.close()

    @contextmanager
    def stream(self, method: str, path: str, *, silence: float, **arguments: Any) -> Iterator[Response]:
        """A response whose body is read while it comes, closed at the end; ``silence`` in seconds cuts one that stalls."""
        with translated(), self._response(self.api, method, path, silence, arguments) as response:
            yield response

    @contextmanager
    def stream_anew(self, method: str, path: str, *, silence: float, **arguments: Any) -> Iterator[Response]:
        """As ``stream``, over a new connection. An engine that stops accepts no new connection, but serves its old ones."""
        with (
            translated(),
            closing(self._session(self.api.api_version)) as session,
            self._response(session, method, path, silence, arguments) as response,
        ):
            yield response

    @contextmanager
    def _response(
        self, session: APIClient, method: str, path: str, silence: float, arguments: Mapping[str, Any]
    ) -> Iterator[Response]:
        url = f"{session.base_url}/v{session.api_version}{path}"
        response = session.request(method, url, stream=True, timeout=(self.timeout, silence), **arguments)
        try:
            _check(response)
            yield response
        finally:
            response.close()

    def body(self, path: str) -> Generator[bytes]:
        """GET, and the body of the answer in blocks. Raises the same as ``translated``, also if the body is not whole.

        The engine sends each line of a log as a chunk of HTTP. The library reads chunk by chunk, which takes most of the time.
        """
        with translated(), closing(self._dial()) as connection:
            head = f"GET /v{self.api.api_version}{path} HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\r\n"
            connection.sendall(head.encode())
            chunked = _CHUNKED in _expect_stream(connection).lower()
            with connection.makefile("rb", _BLOCK) as file:
                if chunked:
                    yield from unchunked(iter(partial(file.read, _BLOCK), b""))
                elif file.read(1):
                    raise InfrastructureError(SERVICE, "the answer does not come in chunks, so its end cannot be checked")

    def hijack(self, path: str) -> socket.socket:
        """POST and take over the connection. The socket then carries the raw stream, both ways, without a timeout.

        The library can do this, but it drops bytes that arrive in one packet with the head. Raises the same as ``translated``.
        """
        with translated():
            target = f"/v{self.api.api_version}{path}"
            connection = self._dial()
            try:
                connection.sendall(
                    f"POST {target} HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n".encode()
                )
                _expect_stream(connection)
                connection.settimeout(None)
            except BaseException:
                connection.close()
                raise
        return connection

    def _open(self) -> APIClient:
        with closing(self._session(_ANY_VERSION)) as session:
            version = str(session.version(api_version=False)["ApiVersion"])
        if not is_new_enough(version):
            raise EngineTooOld(
                SERVICE, f"the engine's API is {version}, and {OLDEST_API} or later is needed: upgrade the engine"
            )
        return self._session(version)

    def _session(self, version: str) -> APIClient:
        """In two steps, because the library asks for the version before its transport can be replaced."""
        session = _session(self._url, version, self.timeout)
        if self._url.startswith("unix:"):
            session.trust_env = False  # proxies and netrc do not apply to a socket, and looking for them takes time
            session.mount(session.base_url, _SocketAdapter(urlsplit(self._url).path))
        else:
            session.mount(session.base_url, HTTPAdapter(pool_maxsize=_THREADS))
        if self._heard:
            session.hooks["response"].append(self._heard)
        return session

    def _dial(self) -> socket.socket:
        url = urlsplit(self._url)
        if url.scheme == "unix":
            return _dial_socket(url.path, self.timeout)
        if url.scheme not in {"tcp", "http"} or not url.hostname:
            raise InfrastructureError(SERVICE, f"cannot attach over {url.scheme}://, only over unix:// and tcp://")
        connection = socket.create_connection((url.hostname, url.port or _PORT), self.timeout)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        return connection


def is_new_enough(version: str) -> bool:
    """Whether this version of the engine's API has all that is needed."""
    return numbers(version) >= numbers(OLDEST_API)


def check(docker_host: str) -> None:
    """Have the library read the URL, and the user's configuration of Docker, without a connection. Raises SettingsError."""
    url = "unix:///socket" if docker_host.startswith("unix:") else docker_host
    try:
        sound = is_host(urlsplit(str(parse_host(url))).hostname or "localhost")
    except (DockerException, ValueError):
        sound = False
    if not sound:
        given = "the given value" if "@" in docker_host else shown(docker_host)
        raise SettingsError(f"DOCKER_HOST: {given} is not a URL such as tcp://host:2376")
    file = str(find_config_file() or "")
    try:
        _session(url, _ANY_VERSION, 1).close()
        complaint = _complaint(file) if file else None
    except DockerException:
        complaint = "its `auths` are not a map of registries to `auth`, user:password in base64"
    if complaint:
        raise SettingsError(f"DOCKER_CONFIG: {file} cannot be used: {complaint}; mend or remove it, or name another folder")


def expect_new_enough(docker_host: str) -> None:
    """Raise SettingsError if an engine answers there whose API is too old. One that does not answer now may do so later."""
    with suppress(InfrastructureError), closing(DockerClient(docker_host, _MOMENT)) as client:
        try:
            with translated():
                client.api  # noqa: B018  opens the connection
        except EngineTooOld as error:
            raise SettingsError(f"DOCKER_HOST: {error}") from error


def _complaint(file: str) -> str | None:
    """The problem with the stores of credentials, which the library uses at a pull.

    The library ignores a file that is not JSON.
    """
    try:
        config = json.loads(Path(file).read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    store, helpers = config.get("credsStore") or "", config.get("credHelpers") or {}
    if not isinstance(store, str):
        return "its `credsStore` is not a string"
    sound = isinstance(helpers, dict) and all(isinstance(helper, str) for helper in helpers.values())
    return None if sound else "its `credHelpers` are not a map of registries to strings"


def _session(url: str, version: str, timeout: float) -> APIClient:
    """The library's client. It reads the user's configuration. Raises DockerException."""
    try:
        return APIClient(url, version=version, timeout=timeout)  # type: ignore[arg-type]
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise DockerException(f"the configuration of Docker cannot be used: {type(error).__name__}") from error


def _dial_socket(path: str, timeout: float | None) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.settimeout(timeout)
        connection.connect(path)
    except BaseException:
        connection.close()
        raise
    return connection


class _SocketConnection(UnixHTTPConnection):
    """Closes its socket if the connection fails; the library's own class leaves this to the garbage collector."""

    def connect(self) -> None:
        self.sock = _dial_socket(self.unix_socket, self.timeout)


class _SocketPool(UnixHTTPConnectionPool):
    def _new_conn(self) -> Any:
        return _SocketConnection(self.base_url, self.socket_path)


class _SocketAdapter(UnixHTTPAdapter):
    """Keeps one pool of connections for all paths.

    The library's own class keeps a pool for each of the last 25 URLs. So it hardly ever uses a connection again, and may close
    one that a thread is about to use.
    """

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self._pool = _SocketPool("localhost", path, maxsize=_THREADS)

    def get_connection(self, url: str | bytes, proxies: Mapping[str, str] | None = None) -> Any:  # noqa: ARG002
        return self._pool

    def close(self) -> None:
        super().close()
        self._pool.close()


def _check(response: Response) -> None:
    try:
        response.raise_for_status()
    except HTTPError as error:
        create_api_error_from_http_exception(error)


def _expect_stream(connection: socket.socket) -> bytes:
    """Read the head of the answer to its last byte, and no further."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = connection.recv(1)
        if not byte or len(head) > _HEAD:
            raise InfrastructureError(SERVICE, "the engine closed the connection instead of answering")
        head += byte
    status = int(head.split(b" ", 2)[1])
    if status not in _TAKEN_OVER:
        raise answer(status, connection.recv(_HEAD).decode(errors="replace").strip())
    return head


_TAKEN_OVER = (101, 200)
_PORT = 2375
