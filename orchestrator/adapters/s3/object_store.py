"""Logs as objects in a bucket of MinIO or another S3 server. Knows keys, bytes and checksums, but no task."""

import hashlib
import os
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from io import FileIO
from pathlib import Path
from typing import BinaryIO, cast

from minio import Minio
from minio.commonconfig import ENABLED, Filter
from minio.deleteobjects import DeleteObject
from minio.error import MinioException, S3Error
from minio.helpers import get_part_info
from minio.lifecycleconfig import AbortIncompleteMultipartUpload, LifecycleConfig, Rule
from urllib3.exceptions import HTTPError

from orchestrator import private_files as private
from orchestrator.adapters.per_process import PerProcess
from orchestrator.adapters.s3.client import minio_client
from orchestrator.errors import STORAGE, BytesChanged, InfrastructureError, UnknownTask
from orchestrator.ports import StoredObject
from orchestrator.settings.settings import Settings

_SHA256, _ETAG = "x-amz-meta-sha256", "x-amz-meta-etag"
_CHUNK = 1 << 16
_BLOCK = 1 << 20
_MISSING, _BEYOND = "NoSuchKey", "InvalidRange"
_EXISTS = frozenset({"BucketAlreadyOwnedByYou", "BucketAlreadyExists"})


class MinioObjectStore:
    """The ObjectStore on S3. The server has no SHA-256, so it is kept in the object's metadata.

    The metadata also has the expected ETag. The server makes the ETag of the bytes that it got, by MD5. If a server makes it in
    another way, as with encryption, the object is read back and checked.
    """

    def __init__(self, settings: Settings) -> None:
        self._client = PerProcess(lambda: minio_client(settings))
        self._bucket = settings.minio_bucket

    def close(self) -> None:
        """Close this process's client and its connections. The next call makes a new client."""
        self._client.dropped()

    @property
    def bucket(self) -> str:
        """The name of the bucket."""
        return self._bucket

    def prepare(self) -> None:
        """Make the bucket, with a rule that drops interrupted uploads. An existing bucket keeps the rules of its owner."""
        client = self._client()
        with _errors():
            if not client.bucket_exists(self._bucket):
                self._make_bucket(client)

    def put(self, key: str, path: Path, sha256: str) -> None:
        """Store the file.

        Parts of a large file are sent one after the other, because the library leaks its upload threads on errors. The file is
        read and hashed twice, for its ETag and to be sent. If it has changed, it is not sent, or is removed again. If the
        server answers with another ETag, the object is read back.
        """
        with private.opened(path.parent, path.name, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            part, _ = get_part_info(size, 0)
            first = _Hashing(file)
            expected = _etag(first, part)
            noted: dict[str, str | list[str] | tuple[str]] = {"sha256": sha256, "etag": expected}
            first.expect(sha256, path.name)
            file.seek(0)
            sent = _Hashing(file)
            with _errors():
                stored = self._client().put_object(
                    self._bucket, key, cast("BinaryIO", sent), size, metadata=noted, num_parallel_uploads=1, part_size=part
                )
        self._unless(sent, sha256, path.name, key)
        if stored.etag != expected and self.stat(key) != (size, sha256):
            raise InfrastructureError(STORAGE, f"object {key} is not what was put")

    def stat(self, key: str) -> tuple[int, str] | None:
        """(bytes, sha256) or None. If the ETag differs from the noted one, the checksum is computed from the bytes."""
        with _errors():
            try:
                found = self._client().stat_object(self._bucket, key)
            except S3Error as error:
                if error.code != _MISSING:
                    raise
                return None
        noted = found.metadata or {}
        sound = found.etag == noted.get(_ETAG)
        return found.size or 0, noted.get(_SHA256, "") if sound else self._read_back(key)

    def get(self, key: str, offset: int = 0) -> Iterator[bytes]:
        """The bytes, in chunks of 64 KiB. The request is made when the first chunk is read."""
        with _errors():
            try:
                response = self._client().get_object(self._bucket, key, offset)
            except S3Error as error:
                if error.code == _BEYOND:
                    return
                if error.code != _MISSING:
                    raise
                raise UnknownTask(f"there is no log {key}") from None
            with closing(response):
                yield from response.stream(_CHUNK)

    def listed(self, prefix: str = "", after: str = "") -> Iterator[StoredObject]:
        """Pages of 1000, each requested when it is reached."""
        with _errors():
            for found in self._client().list_objects(self._bucket, prefix or None, recursive=True, start_after=after or None):
                yield StoredObject(str(found.object_name), found.last_modified or datetime.now(UTC))

    def remove(self, keys: Collection[str]) -> None:
        """The library makes requests of 1000 of them."""
        with _errors():
            refused = [*self._client().remove_objects(self._bucket, map(DeleteObject, keys))]
        wrong = [error for error in refused if error.code != _MISSING]
        if wrong:
            raise InfrastructureError(STORAGE, f"{len(wrong)} objects are not removed; {wrong[0].name}: {wrong[0].message}")

    def _unless(self, sent: "_Hashing", sha256: str, name: str, key: str) -> None:
        """Remove the object and raise BytesChanged if its bytes are not the expected ones."""
        try:
            sent.expect(sha256, name)
        except BytesChanged:
            with _errors():
                self._client().remove_object(self._bucket, key)
            raise

    def _read_back(self, key: str) -> str:
        digest = hashlib.sha256()
        for data in self.get(key):
            digest.update(data)
        return digest.hexdigest()

    def _make_bucket(self, client: Minio) -> None:
        try:
            client.make_bucket(self._bucket)
        except S3Error as error:
            if error.code not in _EXISTS:
                raise
            return
        # MinIO has no such rule and drops them by itself; other servers may forbid the rule
        with suppress(S3Error):
            client.set_bucket_lifecycle(self._bucket, _drop_stale_uploads())


class _Hashing:
    """A file that is hashed as it is read."""

    def __init__(self, file: FileIO) -> None:
        self._file = file
        self._digest = hashlib.sha256()

    def read(self, size: int) -> bytes:
        """The next ``size`` bytes, fewer only at the end. One read of a raw file may give fewer. Raises OSError."""
        parts: list[bytes] = []
        while size > 0 and (data := self._file.read(min(size, _BLOCK))):
            parts.append(data)
            self._digest.update(data)
            size -= len(data)
        return b"".join(parts)

    def expect(self, sha256: str, name: str) -> None:
        """Raise BytesChanged unless this is the checksum of the bytes that were read."""
        if self._digest.hexdigest() != sha256:
            raise BytesChanged(name)


def _etag(file: _Hashing, part: int) -> str:
    """The ETag of S3: the MD5 of the file, or the MD5 of the MD5s of its parts of ``part`` bytes, and their number."""
    sums = [_md5(data) for data in iter(partial(file.read, part), b"")] or [_md5(b"")]
    return sums[0].hex() if len(sums) == 1 else f"{_md5(b''.join(sums)).hex()}-{len(sums)}"


def _md5(data: bytes) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).digest()


def _drop_stale_uploads() -> LifecycleConfig:
    drop = AbortIncompleteMultipartUpload(days_after_initiation=1)
    return LifecycleConfig([Rule(ENABLED, rule_filter=Filter(prefix=""), abort_incomplete_multipart_upload=drop)])


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except (MinioException, HTTPError) as error:
        raise InfrastructureError(STORAGE, str(error)) from error
