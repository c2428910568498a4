"""The live output of a container over one hijacked connection; its stdin goes over another."""

import select
import socket
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress

from orchestrator.adapters.docker.client import DockerClient
from orchestrator.adapters.docker.demux import Demux
from orchestrator.adapters.docker.errors import SERVICE
from orchestrator.adapters.docker.log_end import CUT, Pace
from orchestrator.adapters.docker.stdin import feed
from orchestrator.errors import InfrastructureError, OutputLost
from orchestrator.ports import Chunk, Stream

_READ = 1 << 18
_IDLE, _LAST = 10.0, 1.0


def attach(
    client: DockerClient,
    name: str,
    stdin: bytes | None,
    alive: Callable[[], bool],
    cut: Callable[[Pace], Collection[Stream]],
    written: Callable[[], None] = lambda: None,
    begun: Callable[[], None] = lambda: None,
    ended: Callable[[], None] = lambda: None,
    closed: Callable[[], None] = lambda: None,
) -> Iterator[Chunk]:
    """Attach now, and return the output from here on. While no output comes, ``alive`` is asked now and then.

    ``begun`` is called when somebody begins to read. When the stream is over, ``ended`` raises InfrastructureError unless the
    program has ended. ``closed`` is called when nobody reads any more.

    ``stdin`` is sent at once. ``written`` is called when all of it will reach the program if the program reads it, even if this
    process dies. ``alive`` is needed because the engine never ends the stream of a container that had exited before, or that is
    removed without a start. Raises InfrastructureError if the connection is cut. Over a network every end raises it, because it
    is unknown whether the stream was whole. At the end, ``cut`` returns the streams whose own end may be missing; OutputLost
    names them.
    """
    connections = [dial(client, name)]
    try:
        if stdin is not None:
            connections.append(feed(client, name, stdin, written))
    except BaseException:
        _close(connections)
        closed()
        raise
    return output(connections, alive, cut, begun, ended, closed, sure=client.local)


def dial(client: DockerClient, name: str) -> socket.socket:
    """A connection to the output of a container."""
    return client.hijack(f"/containers/{name}/attach?stdout=1&stderr=1&stream=1")


def output(
    connections: Sequence[socket.socket],
    alive: Callable[[], bool],
    cut: Callable[[Pace], Collection[Stream]],
    begun: Callable[[], None],
    ended: Callable[[], None],
    closed: Callable[[], None],
    demux: Demux | None = None,
    *,
    sure: bool,
) -> Iterator[Chunk]:
    """The output over the first of these connections, as ``attach`` returns it. All of them are closed at its end.

    ``sure`` says whether the end of the connection is that of the stream.
    """
    chunks = _output(connections, alive, cut, begun, ended, closed, demux, sure=sure)
    next(chunks)  # a generator that has begun closes the connections even if it is never read
    return chunks


def _output(
    connections: Sequence[socket.socket],
    alive: Callable[[], bool],
    cut: Callable[[Pace], Collection[Stream]],
    begun: Callable[[], None] = lambda: None,
    ended: Callable[[], None] = lambda: None,
    closed: Callable[[], None] = lambda: None,
    demux: Demux | None = None,
    *,
    sure: bool,
) -> Iterator[Chunk]:
    connection = connections[0]
    demux = demux or Demux()
    pace = Pace()
    ready = select.poll()
    ready.register(connection, select.POLLIN)
    try:
        yield Stream.STDOUT, b""
        begun()
        while ready.poll(_IDLE * 1000) or alive() or ready.poll(_LAST * 1000):
            if ready.poll(0):
                data = _receive(connection)
                if not data:
                    break
                chunks = demux.feed(data)
                pace.add(chunks)
                yield from chunks
        pace.end()
        demux.end()
        if not sure:
            raise InfrastructureError(SERVICE, "the stream is over, and whether it was whole cannot be told over a network")
        ended()
        if lost := cut(pace):
            raise OutputLost(lost, CUT)
    finally:
        _close(connections)
        closed()


def _close(connections: Iterable[socket.socket]) -> None:
    for connection in connections:
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)  # wakes a thread that still sends stdin; `close` would not wake it
        connection.close()


def _receive(connection: socket.socket) -> bytes:
    """The next bytes; none at the end."""
    try:
        return connection.recv(_READ)
    except OSError as error:
        raise InfrastructureError(SERVICE, f"the stream was cut: {error}") from error
