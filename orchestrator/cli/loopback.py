"""Asks what listens on this machine, past any proxy that the environment names."""

from http.client import HTTPResponse
from typing import cast
from urllib.request import ProxyHandler, build_opener


def opened(url: str, seconds: float) -> HTTPResponse:
    """The answer, to be closed. Raises URLError, HTTPError and other OSErrors."""
    return cast("HTTPResponse", build_opener(ProxyHandler({})).open(url, timeout=seconds))
