"""Stored bytes as downloads: never shown by a browser as a page, and any part of them by Range."""

import re
from collections.abc import Callable, Iterator
from http import HTTPStatus
from urllib.parse import quote

from attrs import frozen
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from orchestrator.server.backend import Backend
from orchestrator.server.problems import HttpError

BYTES = "application/octet-stream"
_RANGE = re.compile(r"bytes=([0-9]{0,15})-([0-9]{0,15})")
Source = Callable[[int], Iterator[bytes]]
"""The bytes from an offset on."""


@frozen
class Stored:
    """What is stored: its name for the one who saves it, size and checksum."""

    name: str
    size: int
    sha256: str


async def download(backend: Backend, request: Request, stored: Stored, source: Source) -> Response:
    """All of it, or the part that Range asks for. Raises HttpError when there is no such part.

    The first bytes are there before the answer begins, so that an error can still be told.
    """
    begin, end = _wanted(request, stored)
    headers = {**attached(stored.name), "Accept-Ranges": "bytes", "ETag": _tag(stored), "Content-Length": str(end - begin)}
    status = HTTPStatus.OK
    if (begin, end) != (0, stored.size):
        status = HTTPStatus.PARTIAL_CONTENT
        headers["Content-Range"] = f"bytes {begin}-{end - 1}/{stored.size}"
    if request.method == "HEAD" or begin == end:
        return Response(status_code=status, headers=headers, media_type=BYTES)
    chunks = await backend.opened(lambda: source(begin), end - begin)
    return StreamingResponse(chunks, status, headers, BYTES)


def attached(name: str) -> dict[str, str]:
    """The headers that have a browser save it."""
    return {
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name.rpartition('/')[2], safe='')}",
        "Content-Security-Policy": "default-src 'none'; sandbox",
    }


def _tag(stored: Stored) -> str:
    return f'"{stored.sha256}"'


def _wanted(request: Request, stored: Stored) -> tuple[int, int]:
    """From where to where. What is no range of bytes, or are several, is passed over, as RFC 9110 allows."""
    match = _RANGE.fullmatch(request.headers.get("range", "").replace(" ", ""))
    unchanged = request.headers.get("if-range", _tag(stored)) == _tag(stored)
    if match is None or not any(match.groups()) or not unchanged:
        return 0, stored.size
    first, last = match.groups()
    begin = int(first) if first else max(stored.size - int(last), 0)
    end = min(int(last) + 1, stored.size) if first and last else stored.size
    if begin >= stored.size or end <= begin:
        raise HttpError(
            HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
            f"Range: there is no such part of {stored.size} bytes",
            headers={"Content-Range": f"bytes */{stored.size}"},
        )
    return begin, end
