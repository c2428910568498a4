"""Output and artifacts in MinIO or another S3 server."""
