"""Checks object storage: the bucket, and the round trip of an object."""

import io
import uuid
from collections.abc import Iterator
from contextlib import closing

from minio import Minio
from minio.error import MinioException
from urllib3.exceptions import HTTPError

from orchestrator.adapters.s3.client import minio_client
from orchestrator.adapters.s3.object_store import MinioObjectStore
from orchestrator.doctor.finding import Finding, Unfit, look
from orchestrator.settings.settings import Settings

_FAILURES = (MinioException, HTTPError)
_PROBE = b"doctor"


def check(settings: Settings) -> Iterator[Finding]:
    """Check the bucket. Raises SettingsError for a bad endpoint."""
    client, bucket = minio_client(settings), settings.minio_bucket
    advice = (
        f"start MinIO or another S3 server at {settings.minio_endpoint}, set MINIO_ENDPOINT and the keys, or run "
        f"`orchestrator up`; the key has to be allowed to make the bucket {bucket}, or you make it"
    )
    reached = look("object storage", advice, lambda: _bucket(settings), *_FAILURES)
    yield reached
    if reached.ok:
        advice = f"let the key put, get and delete objects in the bucket {bucket}"
        yield look("objects", advice, lambda: _round_trip(client, bucket), *_FAILURES)


def _bucket(settings: Settings) -> str:
    MinioObjectStore(settings).prepare()
    return f"{settings.minio_endpoint}, bucket {settings.minio_bucket}"


def _round_trip(client: Minio, bucket: str) -> str:
    key = f"doctor/{uuid.uuid4().hex}"
    client.put_object(bucket, key, io.BytesIO(_PROBE), len(_PROBE), metadata={"sha256": "probe"})
    try:
        metadata = client.stat_object(bucket, key).metadata or {}
        with closing(client.get_object(bucket, key)) as response:
            content = response.read()
    finally:
        client.remove_object(bucket, key)
    if content != _PROBE or metadata.get("x-amz-meta-sha256") != "probe":
        raise Unfit("an object came back changed, or without its metadata")
    return "put, stat, get, delete"
