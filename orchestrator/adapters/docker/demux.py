"""Takes the engine's multiplexed streams apart: frames of one kind byte, three zeros, four bytes of length, and the payload."""

import struct
from collections.abc import Generator, Sequence
from contextlib import closing
from itertools import compress
from urllib.parse import urlencode

from attrs import frozen

from orchestrator.adapters.docker.client import DockerClient
from orchestrator.adapters.docker.errors import SERVICE
from orchestrator.errors import InfrastructureError
from orchestrator.ports import Chunk, Stream

_HEADER = struct.Struct(">BxxxL")
_STREAMS = {1: Stream.STDOUT, 2: Stream.STDERR}


class Demux:
    """Keeps the bytes of an incomplete frame."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> list[Chunk]:
        """The frames that ``data`` completes, one chunk each. Raises InfrastructureError if the engine reports an error."""
        self._rest += data
        chunks: list[Chunk] = []
        at = 0
        while len(self._rest) >= at + _HEADER.size:
            kind, size = _HEADER.unpack_from(self._rest, at)
            end = at + _HEADER.size + size
            if end > len(self._rest):
                break
            payload = bytes(self._rest[at + _HEADER.size : end])
            if kind not in _STREAMS:
                raise InfrastructureError(SERVICE, f"the stream broke off: {payload[:200].decode(errors='replace')}")
            chunks.append((_STREAMS[kind], payload))
            at = end
        del self._rest[:at]
        return chunks

    def end(self) -> None:
        """Call it at the end of the stream. Raises InfrastructureError if the end is inside a frame."""
        if self._rest:
            raise InfrastructureError(SERVICE, f"the stream broke off in a frame, after {len(self._rest)} bytes of it")


@frozen
class Messages:
    """Messages of a log that came together, in order: the stream, the time stamp and the text of each."""

    streams: Sequence[Stream]
    stamps: Sequence[bytes]
    texts: Sequence[bytes]

    def __len__(self) -> int:
        return len(self.streams)

    def after(self, count: int) -> "Messages":
        """All except the first ``count``."""
        return Messages(self.streams[count:], self.stamps[count:], self.texts[count:]) if count > 0 else self

    def of(self, stream: Stream) -> "Messages":
        """The messages of one stream."""
        if self.streams.count(stream) == len(self):
            return self
        return self.chosen([each is stream for each in self.streams])

    def chosen(self, which: Sequence[bool]) -> "Messages":
        """The messages for which ``which`` is true."""
        return Messages([*compress(self.streams, which)], [*compress(self.stamps, which)], [*compress(self.texts, which)])


def log_messages(client: DockerClient, name: str, **wanted: object) -> Generator[Messages]:
    """The messages that are in the engine's log now. Raises InfrastructureError if the log breaks off, and ContainerMissing."""
    rest = b""
    asked = urlencode({"stdout": 1, "stderr": 1, "timestamps": 1, **wanted})
    with closing(client.body(f"/containers/{name}/logs?{asked}")) as blocks:
        for block in blocks:
            messages, rest = split_messages(rest + block)
            yield messages
    if rest:
        raise InfrastructureError(SERVICE, f"the log broke off in a frame, after {len(rest)} bytes of it")


def split_messages(data: bytes) -> tuple[Messages, bytes]:
    """The complete messages in ``data``, and the remaining bytes. Raises InfrastructureError if the engine reports an error.

    A log may have millions of lines, so this loop does little for each.
    """
    streams: list[Stream] = []
    stamps: list[bytes] = []
    texts: list[bytes] = []
    at, last = 0, len(data) - _HEADER.size
    while at <= last:
        kind, size = _HEADER.unpack_from(data, at)
        start = at + _HEADER.size
        end = start + size
        if end > len(data):
            break
        if kind not in _STREAMS:
            raise InfrastructureError(
                SERVICE, f"the log broke off: {data[start : min(end, start + 200)].decode(errors='replace')}"
            )
        gap = data.find(b" ", start, end)
        streams.append(_STREAMS[kind])
        stamps.append(data[start:gap])
        texts.append(data[gap + 1 : end])
        at = end
    return Messages(streams, stamps, texts), data[at:]
