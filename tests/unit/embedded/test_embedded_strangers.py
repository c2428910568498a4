"""Another user of the machine, who has no password and no key, gets nothing from the embedded servers."""

import http.client
import os
import re
import socket
import ssl
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from orchestrator.adapters.s3.client import minio_client
from orchestrator.embedded import Embedded, home
from orchestrator.embedded.ports import GRPC_OFFSET, choose_ports
from orchestrator.embedded.process import Process
from orchestrator.embedded.servers import HOST, secantusdb
from orchestrator.settings.settings import Settings
from tests.support import pace
from tests.support.listening import listening

WEED = "weed"
OBJECT = "/buckets/readiness/readiness"
"""Each start of SeaweedFS leaves it, with this content."""
CONTENT = "ready"
HTTP2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\x04" + bytes(5)
"""How a client of gRPC begins; a server that takes it sends its settings, one for HTTP/1.1 an error, one for TLS nothing."""
SILENT, OPEN, WEB, CERTIFIED = "says nothing", "open to all", "HTTP/1.1", "asks for a certificate"
REFUSALS = {400, 401, 403, 404, 405}


@pytest.fixture
def nobody() -> Mapping[str, object]:
    """How a command is run as somebody else: without the folder, and as nobody where this user may become that."""
    user = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
    return {"cwd": "/", "env": {"PATH": os.defpath, "HOME": "/nonexistent"}, **user}


def ports_of(servers: Embedded) -> dict[str, int]:
    """The ports of each part of SeaweedFS for HTTP."""
    return dict(zip(("master", "volume", "filer", "s3", "admin"), home.load(servers.folder).ports["seaweedfs"], strict=True))


def weed(servers: Embedded, command: list[str], how: Mapping[str, object], said: str = "") -> str:
    """What a command of SeaweedFS prints."""
    binary = servers.processes["seaweedfs"]._server.argv[0]
    done = subprocess.run(  # type: ignore[call-overload]
        [binary, *command], input=said, text=True, capture_output=True, check=False, timeout=pace.seconds(60), **how
    )
    return str(done.stdout)


def answer(connection: socket.socket) -> str:
    """What somebody finds who speaks gRPC and has no key."""
    with connection:
        connection.settimeout(pace.seconds(10))
        try:
            connection.sendall(HTTP2)
            said = connection.recv(100)
        except ssl.SSLError as error:
            return CERTIFIED if "CERTIFICATE_REQUIRED" in str(error) else str(error)
        except ConnectionError:
            return SILENT
    return (WEB if said.startswith(b"HTTP/1") else OPEN) if said else SILENT


def found_at(port: int) -> str:
    """What answers at a port, in clear text and, where that is not answered, over TLS without a certificate."""
    said = answer(socket.create_connection((HOST, port)))
    if said != SILENT:
        return said
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    return answer(context.wrap_socket(socket.create_connection((HOST, port))))


def test_a_stranger_neither_reads_nor_writes_an_object(servers: Embedded, nobody: Mapping[str, object]) -> None:
    """With SeaweedFS's own tool, which works for the owner of the keys."""
    folder = servers.folder / "seaweedfs"
    filer = f"http://{HOST}:{ports_of(servers)['filer']}"
    read, write = ["filer.cat", filer + OBJECT], ["filer.copy", "/etc/hostname", f"{filer}/buckets/readiness/"]
    assert weed(servers, read, {"cwd": folder}) == CONTENT
    assert weed(servers, read, nobody) == ""
    weed(servers, write, nobody)
    assert names(servers) == ["readiness"]


def names(servers: Embedded) -> list[str | None]:
    """The objects that lie beside the one of the start."""
    return [found.object_name for found in minio_client(Settings.load(servers.environment)).list_objects("readiness")]


def test_each_port_of_the_object_storage_is_closed(servers: Embedded) -> None:
    """Those that are listened on are all known: for HTTP, and for gRPC with a certificate; its sockets in /tmp as well."""
    ports = ports_of(servers)
    there = {port for _, port in listening(servers.processes["seaweedfs"].pid or 0)}
    expected = {**dict.fromkeys(ports.values(), WEB), **{port + GRPC_OFFSET: CERTIFIED for port in ports.values()}}
    assert {port: found_at(port) for port in there} == expected
    for part, port in ports.items():
        local = socket.socket(socket.AF_UNIX)
        local.connect(f"/tmp/seaweedfs-{part}-grpc-{port + GRPC_OFFSET}.sock")  # noqa: S108
        assert answer(local) == SILENT


def test_nothing_is_had_over_http_without_a_token(servers: Embedded) -> None:
    """Not even where somebody knows under which number a volume keeps the object."""
    ports = ports_of(servers)
    number = re.search(r'"fileId": +"([^"]+)"', shell(servers, f"fs.meta.cat {OBJECT}"))
    assert number
    for path in (f"/{number[1]}", OBJECT, "/buckets/", "/dir/status", "/dir/assign", "/vol/status", "/api/s3/buckets"):
        for method in ("GET", "PUT", "POST", "DELETE"):
            assert {status(port, method, path) for port in ports.values()} <= REFUSALS, (method, path)
    assert shell(servers, f"fs.cat {OBJECT}") == CONTENT


def shell(servers: Embedded, command: str) -> str:
    """What SeaweedFS's shell answers to the owner of the keys."""
    ports = ports_of(servers)
    where = [f"-master={HOST}:{ports['master']}", f"-filer={HOST}:{ports['filer']}"]
    return weed(servers, ["shell", *where], {"cwd": servers.folder / "seaweedfs"}, f"{command}\nexit\n").strip()


def status(port: int, method: str, path: str) -> int:
    """With what a request without keys is answered."""
    connection = http.client.HTTPConnection(HOST, port, timeout=pace.seconds(10))
    connection.request(method, path, body=b"forged" if method in {"PUT", "POST"} else None)
    try:
        return connection.getresponse().status
    finally:
        connection.close()


def test_the_first_start_of_the_database_lets_nobody_in(tmp_path: Path) -> None:
    """It has no user yet, so whom it lets in could make one that stays."""
    (port,) = choose_ports(1)
    first = secantusdb(tmp_path / "db", [port], "secret").first
    assert first
    with (tmp_path / "lock").open("w") as lock:
        process = Process(first, tmp_path / "db", lock.fileno())
        process.start()
        try:
            process.await_ready(pace.seconds(60))
            for options in ("", "&tls=true&tlsAllowInvalidCertificates=true"):
                uri = f"mongodb://{HOST}:{port}/?directConnection=true&serverSelectionTimeoutMS=1000{options}"
                with MongoClient(uri) as client, pytest.raises(PyMongoError):
                    client.admin.command("createUser", "mallory", pwd="x", roles=["root"])
        finally:
            process.stop(grace=0)
