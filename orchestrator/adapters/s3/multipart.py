"""The requests of a multipart upload, which the library has only for its own use. Knows no object store and no settings."""

from collections.abc import Iterator, Mapping, Sequence

from minio import Minio
from minio.datatypes import Part
from minio.error import MinioException
from minio.helpers import genheaders


class MultipartMinio(Minio):
    """The client with these requests, one method for each. They raise what the other methods raise.

    The library's own ``put_object`` sends parts side by side only in threads that it leaks on errors.
    """

    def begin_parts(self, bucket: str, key: str, metadata: Mapping[str, str]) -> str:
        """Begin an upload; its id."""
        headers = genheaders({**metadata}, None, None, None, legal_hold=False)
        return str(self._create_multipart_upload(bucket, key, headers))

    def send_part(self, bucket: str, key: str, upload: str, number: int, data: bytes) -> str:
        """Send a part, counted from 1; its ETag. All parts but the last have at least 5 MiB."""
        return str(self._upload_part(bucket, key, data, None, upload, number))

    def complete_parts(self, bucket: str, key: str, upload: str, etags: Sequence[str]) -> str:
        """Make the object of all parts, whose ETags come in their order; the ETag of the object.

        S3 begins its answer with 200 before the object is made. If that fails then, the answer has an error in place of the
        ETag, and the library does not look for one.
        """
        parts = [Part(number, etag) for number, etag in enumerate(etags, 1)]
        etag = self._complete_multipart_upload(bucket, key, upload, parts).etag
        if not etag:
            raise MinioException(f"object {key} may not have been made: the answer has no ETag")
        return etag

    def abort_parts(self, bucket: str, key: str, upload: str) -> None:
        """Drop what was sent."""
        self._abort_multipart_upload(bucket, key, upload)

    def begun_parts(self, bucket: str, key: str) -> Iterator[str]:
        """Ids of uploads of this key that were begun and not completed; 1000 a request.

        S3 lists uploads by a prefix. MinIO takes the prefix for the whole key.
        """
        marker: dict[str, str | None] = {}
        while True:
            page = self._list_multipart_uploads(bucket, prefix=key, **marker)  # type: ignore[arg-type]
            yield from (str(each.upload_id) for each in page.uploads if each.object_name == key)
            if not page.is_truncated:
                return
            marker = {"key_marker": page.next_key_marker, "upload_id_marker": page.next_upload_id_marker}
