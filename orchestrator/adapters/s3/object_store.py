"""Logs as objects in a bucket of MinIO or another S3 server. Knows keys, bytes and checksums, but no task."""

import hashlib
import os
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import ExitStack, closing, contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from io import BytesIO, FileIO
from pathlib import Path
from threading import BoundedSemaphore, Lock
from xml.etree.ElementTree import ParseError

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
from orchestrator.adapters.s3.multipart import MultipartMinio
from orchestrator.errors import STORAGE, BytesChanged, InfrastructureError, UnknownTask
from orchestrator.log import logger
from orchestrator.ports import SentPart, StoredObject
from orchestrator.settings.settings import Settings

_SHA256, _ETAG = "x-amz-meta-sha256", "x-amz-meta-etag"
_CHUNK = 1 << 16
_AT_ONCE = 3
"""Parts of a file that are sent side by side."""
_MOST_PARTS = 8
"""Parts that a process has in memory, of all files together: 40 MiB, unless a file is larger than 48 GiB."""
_MISSING, _BEYOND, _NO_UPLOAD = "NoSuchKey", "InvalidRange", "NoSuchUpload"
_LEFT_TO_ITS_RULE = frozenset({"AccessDenied", "MethodNotAllowed", "NotImplemented"})
_EXISTS = frozenset({"BucketAlreadyOwnedByYou", "BucketAlreadyExists"})


class MinioObjectStore:
    """The ObjectStore on S3. The server has no SHA-256, so it is kept in the object's metadata.

    The server makes the ETag of the bytes that it got, by MD5. If a server makes it in another way, as with encryption, the
    object is read back and checked. The metadata of an object that was sent by one request also has the expected ETag.
    """

    def __init__(self, settings: Settings) -> None:
        self._client = PerProcess(lambda: minio_client(settings))
        self._bucket = settings.minio_bucket
        self._room = PerProcess(lambda: BoundedSemaphore(_MOST_PARTS))

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
        """Store the file, which is read once. If it has changed, nothing is stored.

        If the server answers with another ETag than that of the bytes that were sent, the object is read back.
        """
        with private.opened(path.parent, path.name, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            part, count = get_part_info(size, 0)
            send = self._send if count == 1 else self._send_parts
            stored, expected = send(key, _Contents(file, path.name, sha256, part))
        if stored != expected and self.stat(key) != (size, sha256):
            raise InfrastructureError(STORAGE, f"object {key} is not what was put")

    def begin_parts(self, key: str) -> str:
        """S3 wants the metadata first, so the object has no checksum in it."""
        with _errors():
            return self._client().begin_parts(self._bucket, key, {})

    def send_parts(self, key: str, upload: str, parts: Generator[bytes], first: int = 1) -> Sequence[SentPart]:
        """Send the parts, a few at once. After an error no further part is begun."""
        client, numbered, reading, sent = self._client(), enumerate(parts, first), Lock(), dict[int, SentPart]()

        def work() -> None:
            while True:
                with self._room():
                    with reading:
                        number, data = next(numbered, (0, b""))
                    if not number:
                        return
                    sent[number] = SentPart(client.send_part(self._bucket, key, upload, number, data), _md5(data))

        with _errors(), ThreadPoolExecutor(_AT_ONCE, "part") as pool:
            workers = [pool.submit(work) for _ in range(_AT_ONCE)]
            wait(workers, return_when=FIRST_EXCEPTION)
            with reading:
                parts.close()
            for worker in workers:
                worker.result()
        return [sent[number] for number in sorted(sent)]

    def complete_parts(self, key: str, upload: str, sent: Sequence[SentPart], sha256: str) -> None:
        """If the server answers with another ETag than that of the bytes that were sent, the object is read back."""
        with _errors():
            stored = self._client().complete_parts(self._bucket, key, upload, [part.answer for part in sent])
        if stored != _etag(sent) and self._read_back(key) != sha256:
            raise InfrastructureError(STORAGE, f"object {key} is not what was sent")

    def abort_parts(self, key: str) -> None:
        """Its uploads are listed first. One that has gone meanwhile is no error.

        A server that does not do this, or not for this user, has a rule of its own that drops them.
        """
        client = self._client()
        with _errors():
            try:
                for upload in client.begun_parts(self._bucket, key):
                    self._abort(client, key, upload)
            except S3Error as error:
                if error.code not in _LEFT_TO_ITS_RULE:
                    raise
                logger.warning("parts of {} are left to the storage's own rule: {}", key, error.code)

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

    def _send(self, key: str, contents: "_Contents") -> tuple[str, str]:
        """Store it by one request; the ETag of the answer, and the expected one."""
        with self._room():
            data = b"".join(contents.parts())
            expected = _md5(data).hex()
            noted: dict[str, str | list[str] | tuple[str]] = {"sha256": contents.sha256, "etag": expected}
            with _errors():
                stored = self._client().put_object(self._bucket, key, BytesIO(data), len(data), metadata=noted)
        return stored.etag or "", expected

    def _send_parts(self, key: str, contents: "_Contents") -> tuple[str, str]:
        """Store it by a multipart upload; the ETag of the answer, and the expected one. After an error nothing is left.

        S3 wants the metadata first, so the ETag is not in it.
        """
        client = self._client()
        with _errors(), ExitStack() as stack:
            upload = client.begin_parts(self._bucket, key, {"sha256": contents.sha256})
            stack.callback(_drop, partial(client.abort_parts, self._bucket, key, upload))
            sent = self.send_parts(key, upload, contents.parts())
            stored = client.complete_parts(self._bucket, key, upload, [part.answer for part in sent])
            stack.pop_all()
        return stored, _etag(sent)

    def _abort(self, client: MultipartMinio, key: str, upload: str) -> None:
        try:
            client.abort_parts(self._bucket, key, upload)
        except S3Error as error:
            if error.code != _NO_UPLOAD:
                raise

    def _read_back(self, key: str) -> str:
        """The checksum of its bytes. Raises InfrastructureError if the object is not there: the storage has said that it is."""
        digest = hashlib.sha256()
        try:
            for data in self.get(key):
                digest.update(data)
        except UnknownTask:
            raise InfrastructureError(STORAGE, f"object {key} is not there") from None
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


class _Contents:
    """The bytes of a file, and their checksum as it is to be."""

    def __init__(self, file: FileIO, name: str, sha256: str, part: int) -> None:
        self._file = file
        self._name = name
        self.sha256 = sha256
        self._part = part

    def parts(self) -> Generator[bytes]:
        """All of it from the beginning, in parts of one size; only the last is shorter.

        Raises BytesChanged behind the last one if this is another checksum's file. Raises OSError.
        """
        digest = hashlib.sha256()
        self._file.seek(0)
        while data := self._read():
            digest.update(data)
            yield data
        if digest.hexdigest() != self.sha256:
            raise BytesChanged(self._name)

    def _read(self) -> bytes:
        """The next part. One read of a raw file may give less."""
        data = self._file.read(self._part) or b""
        while data and len(data) < self._part and (more := self._file.read(self._part - len(data))):
            data += more
        return data


def _etag(sent: Sequence[SentPart]) -> str:
    """The ETag of S3 for an object of parts: the MD5 of their MD5s, and their number."""
    return f"{_md5(b''.join(part.md5 for part in sent)).hex()}-{len(sent)}"


def _md5(data: bytes) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).digest()


def _drop(abort: Callable[[], None]) -> None:
    """Drop an upload that has failed. If the storage does not, its own rule will."""
    with suppress(InfrastructureError), _errors():
        abort()


def _drop_stale_uploads() -> LifecycleConfig:
    drop = AbortIncompleteMultipartUpload(days_after_initiation=1)
    return LifecycleConfig([Rule(ENABLED, rule_filter=Filter(prefix=""), abort_incomplete_multipart_upload=drop)])


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except (MinioException, HTTPError) as error:
        raise InfrastructureError(STORAGE, str(error)) from error
    except (ParseError, ValueError) as error:  # of the library, of an answer of 200 that is not the one of S3
        raise InfrastructureError(STORAGE, f"the answer cannot be read: {error}") from error
