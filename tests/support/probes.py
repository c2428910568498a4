"""Asks a worker's health as a probe does."""

import json
import urllib.error
import urllib.request


def asked(url: str) -> tuple[int, dict[str, object]] | None:
    """The status and the facts; None when nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310  loopback
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())
    except (urllib.error.URLError, ConnectionError):  # the latter once it was connected
        return None
