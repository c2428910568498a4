"""The client of S3 with limited waits. Knows the options of the library, but no port."""

import urllib3

from orchestrator.adapters.s3.multipart import MultipartMinio
from orchestrator.errors import SettingsError
from orchestrator.retrying import S3_REQUEST
from orchestrator.settings.settings import Settings


def minio_client(settings: Settings) -> MultipartMinio:
    """A request is tried three times, with 5 s to connect. A silent server gets one wait of 15 s.

    Raises SettingsError on a bad endpoint.
    """
    retries = urllib3.Retry(
        total=S3_REQUEST.repeats,
        read=0,
        backoff_factor=S3_REQUEST.first,
        backoff_max=S3_REQUEST.most,
        status_forcelist=(500, 502, 503, 504),
    )
    pool = urllib3.PoolManager(timeout=urllib3.Timeout(connect=5, read=15), retries=retries, maxsize=10)
    try:
        return MultipartMinio(
            settings.minio_endpoint,
            settings.minio_access_key,
            settings.minio_secret_key,
            region=settings.minio_region,
            secure=settings.minio_use_ssl,
            http_client=pool,
        )
    except ValueError as error:
        raise SettingsError(f"MINIO_ENDPOINT: {error}") from None
