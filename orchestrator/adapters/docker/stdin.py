"""Writes the stdin of a container over a connection of its own.

The engine closes the stdin of an attached client as soon as it cannot write output to that client. On a connection that carries
no output it reads all that was sent, even if the process that sent it has died.
"""

import fcntl
import socket
import struct
import termios
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from orchestrator.adapters.docker.client import DockerClient

_SO_SNDBUFFORCE = 32
"""From the kernel's asm-generic/socket.h: lets a privileged process have a larger buffer than others."""
_LOOK = 0.05


def feed(client: DockerClient, name: str, stdin: bytes, written: Callable[[], None]) -> socket.socket:
    """Connect and send. Returns the connection; its shutdown ends the sending.

    ``written`` is called when all bytes will arrive. Bytes in the kernel's buffer of a local socket stay there for the engine,
    even if this process dies. So a privileged process needs no thread for any size.
    """
    connection = dial(client, name)
    send(client, connection, name, stdin, written)
    return connection


def dial(client: DockerClient, name: str) -> socket.socket:
    """A connection to the stdin of a container."""
    return client.hijack(f"/containers/{name}/attach?stdin=1&stream=1")


def send(client: DockerClient, connection: socket.socket, name: str, stdin: bytes, written: Callable[[], None]) -> None:
    """Send over such a connection, as ``feed`` does."""
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, len(stdin))
    rest = _send_at_once(connection, stdin)
    if client.local and not rest:
        _finish(connection, rest, written, local=True)
    else:
        work = threading.Thread(
            target=_finish, args=(connection, rest, written), kwargs={"local": client.local}, name=f"stdin {name}", daemon=True
        )
        work.start()


def _send_at_once(connection: socket.socket, stdin: bytes) -> memoryview:
    """Send as much as possible without waiting; returns the rest."""
    rest = memoryview(stdin)
    with suppress(OSError):
        while rest:
            rest = rest[connection.send(rest, socket.MSG_DONTWAIT) :]
    return rest


def _finish(connection: socket.socket, rest: memoryview, written: Callable[[], None], *, local: bool) -> None:
    """Send the rest and close this direction. It is no error if the program ends before it has read all.

    Over a network, the buffer may be lost with this process's network, so its bytes count only after they have arrived.
    """
    try:
        connection.sendall(rest)
        connection.shutdown(socket.SHUT_WR)
        while not local and _on_the_way(connection):
            time.sleep(_LOOK)
    except OSError:
        return
    written()


def _on_the_way(connection: socket.socket) -> int:
    """Bytes that were sent and have not arrived."""
    return int(struct.unpack("i", fcntl.ioctl(connection, termios.TIOCOUTQ, bytes(4)))[0])
