"""Where a server is, without the secrets in its URL."""

from urllib.parse import urlsplit


def place(url: str) -> str:
    """Host and port of a URL, or its path when it has no host."""
    parts = urlsplit(url)
    return parts.netloc.rpartition("@")[2] or parts.path
