"""Takes the chunked coding of HTTP apart in blocks. A chunk begins with its size in hexadecimal; the last one has size 0."""

from collections.abc import Iterable, Iterator

from orchestrator.adapters.docker.errors import SERVICE
from orchestrator.errors import InfrastructureError

_END = b"\r\n"


def unchunked(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """The content of the chunks. Raises InfrastructureError if the last chunk does not come, because the connection was cut."""
    rest = b""
    for block in blocks:
        data, rest, ended = take_chunks(rest + block)
        if data:
            yield data
        if ended:
            return
    raise InfrastructureError(SERVICE, "the connection was cut before the end of the answer")


def take_chunks(data: bytes) -> tuple[bytes, bytes, bool]:
    """The content of the complete chunks in ``data``, the remaining bytes, and whether the last chunk was among them.

    A log may have millions of chunks, so this loop does little for each.
    """
    parts: list[bytes] = []
    at = 0
    while (line := data.find(_END, at)) >= 0:
        start = line + len(_END)
        end = start + _size(data[at:line])
        if end == start:
            return b"".join(parts), b"", True
        if end + len(_END) > len(data):
            break
        parts.append(data[start:end])
        at = end + len(_END)
    return b"".join(parts), data[at:], False


def _size(text: bytes) -> int:
    try:
        return int(text, 16)
    except ValueError:
        raise InfrastructureError(SERVICE, f"the answer has a chunk of the size {text[:20]!r}") from None
