"""Takes the engine's multiplexed streams apart: frames of one kind byte, three zeros, four bytes of length, and the payload."""

import struct
from collections.abc import Generator

from orchestrator.adapters.docker_client import DockerClient
from orchestrator.adapters.docker_errors import SERVICE
from orchestrator.errors import InfrastructureError
from orchestrator.ports import Chunk, Stream

_HEADER = struct.Struct(">BxxxL")
_READ = 1 << 16
_STREAMS = {1: Stream.STDOUT, 2: Stream.STDERR}


class Demux:
    """Keeps the bytes of the frame that has not come whole yet."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> list[Chunk]:
        """The frames that ``data`` completes, one chunk each. Raises InfrastructureError on the engine's own complaints."""
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
        """To be called at the end of the stream. Raises InfrastructureError when it came inside a frame."""
        if self._rest:
            raise InfrastructureError(SERVICE, f"the stream broke off in a frame, after {len(self._rest)} bytes of it")


def log_messages(client: DockerClient, name: str, **wanted: object) -> Generator[Chunk]:
    """The messages that are in the engine's log now. Raises InfrastructureError when it breaks off, and ContainerMissing."""
    demux = Demux()
    asked = {"stdout": 1, "stderr": 1, **wanted}
    with client.stream("GET", f"/containers/{name}/logs", silence=client.timeout, params=asked) as response:
        for data in response.iter_content(_READ):
            yield from demux.feed(data)
    demux.end()
