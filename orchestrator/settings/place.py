"""Where a server is, without the secrets in its URL."""

from orchestrator.urls import split


def place(url: str) -> str:
    """Hosts and ports of a URL, or its path when it has no host."""
    parts = split(url)
    return (parts.hosts or parts.path) if parts else "?"
